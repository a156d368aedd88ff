"""How stores number documents and units: unit ``n`` of document ``d`` is ``d * UNITS_A_DOCUMENT + n``.

Neighbours then need no look-up, and a unit's number says its document.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from coa.errors import UsageError
from coa.retrieval.base import TEXT, Entry, Record, Unit
from coa.types import Span

UNITS_A_DOCUMENT = 1 << 20
OTHER_KINDS = 1 << 19
"""A document's units of kind ``text`` are numbered from 0, others from here."""

_NUMBERS = 1 << 42


def numbered(number: int, doc: str, record: Record) -> list[Unit]:
    """The units of a document with their numbers.

    Raises:
        UsageError: they are out of order, or too many.
    """
    units: list[Unit] = []
    texts = others = 0
    for entry in record.entries:
        if entry.kind == TEXT and others:
            raise UsageError("units of kind 'text' come before all others")
        at, texts, others = (
            (texts, texts + 1, others) if entry.kind == TEXT else (OTHER_KINDS + others, texts, others + 1)
        )
        if max(texts, others) > OTHER_KINDS:
            raise UsageError(f"{doc!r} has more than {OTHER_KINDS} units", hint="Split the document.")
        units.append(_unit(number * UNITS_A_DOCUMENT + at, doc, record, entry))
    return units


def _unit(number: int, doc: str, record: Record, entry: Entry) -> Unit:
    text = entry.text if entry.text is not None else record.document.text[entry.start : entry.end]
    return Unit(
        id=number,
        span=Span(doc=doc, start=entry.start, end=entry.end),
        text=text,
        path=record.document.path,
        page=entry.page,
        section=entry.section,
        kind=entry.kind,
        fields=entry.fields,
    )


def free_number(path: str, taken: Callable[[int], bool]) -> int:
    """A number for a document that no writer beside this one is likely to choose: of its path, or the next free one."""
    number = 1 + int(sha256(path.encode("utf-8", "surrogatepass")).hexdigest(), 16) % (_NUMBERS - 1)
    while taken(number):
        number = number % (_NUMBERS - 1) + 1
    return number


def free_id(wanted: str, taken: Callable[[str], bool]) -> str:
    """A document's id: its own, or with a number where another path has it."""
    number, name = 1, wanted
    while taken(name):
        number += 1
        name = f"{wanted}-{number}"
    return name


def storable(name: str) -> str:
    """A name as UTF-8 can hold it: a path may carry bytes that no encoding explains."""
    return name.encode("utf-8", "backslashreplace").decode()
