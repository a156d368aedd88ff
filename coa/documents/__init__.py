"""Documents: from files of any kind to text that knows where each of its characters came from."""

from coa.documents.document import Document, SourceMap
from coa.documents.limits import Limits
from coa.documents.load import STDIN, Loaded, LoadFailure, load, load_all

__all__ = ["STDIN", "Document", "Limits", "LoadFailure", "Loaded", "SourceMap", "load", "load_all"]
