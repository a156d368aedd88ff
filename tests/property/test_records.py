"""Records out of lines that a model bent: what comes out is what stood there, or the line is reported."""

from __future__ import annotations

import asyncio
import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import coa
from coa.aggregation.query import Query
from coa.documents import Document
from coa.errors import InvalidReply
from coa.serving.base import Request
from coa.testing import ScriptedModel


class Sale(BaseModel):
    who: str
    count: int


SALES = [("Ada", 3), ("Bo", 14), ("Cy", 7)]
QUOTES = [f"{who} sold {count} barrels." for who, count in SALES]
TEXT = "The tide went out. " + " The tide came in. ".join(QUOTES)
BOOK = Document(id="b", path="b", text=TEXT, sha256=hashlib.sha256(TEXT.encode()).hexdigest())
LINES = [
    json.dumps({"quote": quote, "record": {"who": who, "count": count}})
    for quote, (who, count) in zip(QUOTES, SALES, strict=True)
]
WHOLE = "\n".join(LINES)
TRUE = {(who, count, quote) for quote, (who, count) in zip(QUOTES, SALES, strict=True)}
WRAPPED = [
    WHOLE,
    f"```json\n{WHOLE}\n```",
    "[" + ",\n".join(LINES) + "]",
    ",\n".join(LINES) + ",",
    f"Here are the records:\n{WHOLE}\nThat is all.",
    "\n\n".join(LINES),
    "\ufeff" + WHOLE,
]


def found(reply: str) -> tuple[set[tuple[object, ...]], int]:
    """The records that come out of a reply, and how many lines are reported; the second turn says the same."""

    def say(_: Request) -> str:
        return reply

    model = ScriptedModel(say, window=8192)
    try:
        done = asyncio.run(coa.aio.aggregate(BOOK, Sale, query=Query(count=True), model=model, journal=False))
    except InvalidReply:
        return set(), 1
    rows = {(row.values["who"], row.values["count"], BOOK.read(row.spans[0])) for row in done.rows}
    return rows, len(done.rejected)


def test_every_wrapping_gives_all_records():
    for reply in WRAPPED:
        assert found(reply)[0] == TRUE, reply


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WRAPPED), st.data())
def test_a_cut_reply_loses_whole_lines_and_never_a_part_of_one(reply: str, data: st.DataObject):
    rows, reported = found(reply[: data.draw(st.integers(1, len(reply)))])
    assert rows <= TRUE
    assert rows == TRUE or reported or len(rows) < len(TRUE)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_bent_line_is_a_true_record_or_reported(data: st.DataObject):
    """A character more, less or other: a number or a name that the text does not state together is never cited."""
    line = LINES[data.draw(st.integers(0, 2))]
    at = data.draw(st.integers(0, len(line) - 1))
    put = data.draw(st.sampled_from(["", '"', "{", "}", ",", "\\", "NaN", "null", "0", " "]))
    reply = line[:at] + put + line[at + data.draw(st.integers(0, 1)) :]
    rows, reported = found(reply)
    assert rows or reported or "no records" in reply.lower()
    for row in rows:
        assert row[2] in TEXT and len(str(row[2])) > 3
