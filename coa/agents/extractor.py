"""The extractor: reads one part and gives typed records, each with the words that state it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, cast

from coa.agents.base import Context
from coa.agents.jsonlines import objects
from coa.agents.quotes import find_quote
from coa.agents.replies import usable
from coa.aggregation.rows import Rejected, Row
from coa.aggregation.schema import Schema
from coa.errors import ContextOverflow, InvalidReply
from coa.serving.base import Message, Request
from coa.types import Passage

REPAIR_TOKENS = 512
"""Kept free in the window for the lines that are to be corrected."""

_NONE = re.compile(r"^\W*no records\b", re.IGNORECASE)
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The records of a part, and what was given as one and is none."""

    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]


class Extractor:
    """Takes records out of a passage.

    Args:
        schema: What a record looks like.
        what: Which records are meant, in words; None for all that fit the schema.
    """

    role = "extractor"

    def __init__(self, schema: Schema, what: str | None = None) -> None:
        self._schema, self._what = schema, what

    def request(self, passage: Passage, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt."""
        user = ctx.prompts["extractor"].render(
            passage=passage.text,
            part=passage.part,
            parts=passage.parts,
            schema=self._schema.text,
            what=self._what or "",
            open=ctx.fence.open,
            close=ctx.fence.close,
        )
        return Request(
            messages=(Message(role="user", content=user),),
            role=self.role,
            inputs={"passage": passage, "schema": self._schema},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> Extracted:
        """Send the request; lines that are no records are asked for once more, and what still is none is reported.

        Raises:
            InvalidReply: the first reply was refused, empty or cut off.
        """
        passage: Passage = request.inputs["passage"]
        rows, bad = self._read(usable(await ctx.call(request)), passage)
        if bad:
            more, bad = await self._again(request, bad, passage, ctx)
            known = {_identity(row) for row in rows}
            rows += [row for row in more if _identity(row) not in known]
        return Extracted(rows=tuple(rows), rejected=tuple(bad))

    async def _again(
        self, request: Request, bad: list[Rejected], passage: Passage, ctx: Context
    ) -> tuple[list[Row], list[Rejected]]:
        """One more turn for lines that are no records; none of them is lost without a word."""
        repair, shown = _repair(request, bad, ctx)
        try:
            rows, still = self._read(usable(await ctx.call(repair)), passage)
        except (InvalidReply, ContextOverflow) as error:
            return [], [replace(each, reason=f"{each.reason} ({error.code} when asked again)") for each in bad]
        if (lost := shown - len(rows) - len(still)) > 0:
            given = "\n".join(each.given for each in bad[:shown])[:_SHOWN]
            still.append(Rejected(given=given, reason=f"{lost} of these were not given again", span=passage.span))
        return rows, [*still, *bad[shown:]]

    def _read(self, text: str, passage: Passage) -> tuple[list[Row], list[Rejected]]:
        rows: list[Row] = []
        bad: list[Rejected] = []
        places: dict[str, int] = {}
        for line, given in objects("" if _NONE.match(text) else text):
            try:
                rows.append(self._row(given, passage, places))
            except ValueError as error:
                bad.append(Rejected(given=line[:_SHOWN], reason=str(error), span=passage.span))
        return rows, bad

    def _row(self, given: object, passage: Passage, places: dict[str, int]) -> Row:
        """A checked row; where the same words stand several times, each row gets the next place.

        Raises:
            ValueError: it is no record, or its quote does not stand in the passage.
        """
        if not isinstance(given, dict):
            raise ValueError("this is no JSON object")
        found = cast("dict[str, Any]", given)
        record = found.get("record", {name: value for name, value in found.items() if name != "quote"})
        values = self._schema.record(record)
        quote = str(found.get("quote") or "")
        start = places.get(quote, 0)
        place = find_quote(passage.text[start:], quote)
        if place is None and start:
            start, place = 0, find_quote(passage.text, quote)
        if place is None:
            raise ValueError("its quote does not stand in the part, letter for letter")
        places[quote] = start + place[1]
        start += passage.span.start
        span = replace(passage.span, start=start + place[0], end=start + place[1])
        return Row(values=values, spans=(span,), part=passage.part)


def _identity(row: Row) -> tuple[object, str]:
    return row.spans, json.dumps(row.values, default=str, sort_keys=True)


def _repair(request: Request, bad: list[Rejected], ctx: Context) -> tuple[Request, int]:
    """The request that shows as many of the bad lines as there is room for, and how many those are."""
    lines: list[str] = []
    room = REPAIR_TOKENS - 96
    for each in bad:
        line = f"{each.given}  -- {each.reason[:_SHOWN]}"
        room -= ctx.counter.count(line) + 1
        if room < 0:
            break
        lines.append(line)
    note = ctx.prompts["extractor_repair"].render(problems="\n".join(lines), open=ctx.fence.open, close=ctx.fence.close)
    (message,) = request.messages
    return replace(request, messages=(replace(message, content=message.content + note),)), len(lines)
