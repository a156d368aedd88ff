"""A document's units as a store takes them: places, pages, sections."""

from __future__ import annotations

from collections.abc import Mapping

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.base import Entry, Record, Value
from coa.retrieval.filters import OWN_FIELDS, field_name
from coa.retrieval.sections import Sections
from coa.retrieval.units import unit_spans


def record(document: Document, fields: Mapping[str, Value] | None = None) -> Record:
    """A document cut into units; ``fields`` go with each of them."""
    checked = checked_fields(fields or {})
    sections = Sections(document.text)
    entries = [
        Entry(start=start, end=end, page=document.page(start), section=sections.at(start), fields=checked)
        for start, end in unit_spans(document.text, breaks=sections.starts)
    ]
    return Record(document=document, entries=entries)


def checked_fields(fields: Mapping[str, Value]) -> dict[str, Value]:
    """Fields that every store can hold.

    Raises:
        UsageError: a name cannot be one, or is the index's own.
    """
    for name in fields:
        if field_name(name) in (*OWN_FIELDS, "and", "or", "not"):
            raise UsageError(f"{name!r} is a field of the index itself", hint="Choose another name.")
    return dict(fields)
