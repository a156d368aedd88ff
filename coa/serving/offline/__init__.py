"""No language model: an extractive engine that chooses sentences of the document. See ``docs/offline.md``."""

from coa.serving.offline.model import OfflineModel

__all__ = ["OfflineModel"]
