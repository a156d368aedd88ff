"""Records without a language model: only those whose values stand behind the names of their fields."""

from __future__ import annotations

import json
import re
from typing import Protocol

_BLOCK = re.compile(r"(?:^[^\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LONGEST = 4_000
_NONE = "NO RECORDS"


class Fields(Protocol):
    """What the engine needs to know of a schema."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Their names."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """Those that a record cannot do without."""
        ...

    def record(self, given: object) -> dict[str, object]:
        """A checked record; ValueError where it is none."""
        ...


def labelled(text: str, schema: Fields) -> str:
    """A record for each paragraph that holds ``name: value`` for every required field, as the extractor gives them."""
    lines = [line for match in _BLOCK.finditer(text) if (line := _record(match[0][:_LONGEST], schema)) is not None]
    return "\n".join(lines) or _NONE


def _record(block: str, schema: Fields) -> str | None:
    found = {name: match for name in schema.fields if (match := _label(name).search(block)) is not None}
    if not found or any(name not in found for name in schema.required):
        return None
    values: dict[str, object] = {name: match[1].strip() for name, match in found.items()}
    quote = block[min(match.start() for match in found.values()) : max(match.end() for match in found.values())]
    try:
        schema.record(values)
    except ValueError:
        values = {name: _number(str(value)) for name, value in values.items()}
    return json.dumps({"quote": quote.strip(), "record": values}, ensure_ascii=False)


def _label(name: str) -> re.Pattern[str]:
    words = r"[ _-]?".join(re.escape(word) for word in re.split(r"[ _-]+", name))
    return re.compile(rf"(?:^|[;|,])[ \t*>-]*\b{words}\**[ \t]*[:=][ \t]*([^\n;|]+)", re.IGNORECASE | re.MULTILINE)


def _number(value: str) -> str:
    match = _NUMBER.search(value)
    return match[0].replace(",", "") if match else value
