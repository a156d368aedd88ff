"""Embedding models beyond their window: parallel windows, other positions, late chunking."""
