"""Read, question and summarise documents that are longer than a model's window."""

__version__ = "0.1.0"
