"""An aggregation is taken up by its id: by the library, which the command uses, over the same documents and schema."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import coa
from coa.aggregation.query import Join, Query, condition
from coa.aggregation.run import Aggregation
from coa.aggregation.schema import SchemaLike
from coa.errors import AuthenticationFailed, InputChanged, RunNotFound, UsageError
from coa.testing import FAULTS, FaultServer
from tests.aggregation.sales import Sale, faithful, text_of

WINDOW = 2048
SALE_JSON = {
    "title": "Sale",
    "properties": {"who": {"type": "string"}, "goods": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["who", "goods", "count"],
}
ASKED = Query(where=(condition("count>1"),), join=Join(records=({"who": "Seller1", "town": "Ely"},), on="who"))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_text(text_of(60))
    return tmp_path / "book.txt"


REFUSED = (None, None, FAULTS["401"])
"""The third call ends the run."""


async def stopped(book: Path, schema: SchemaLike, server: FaultServer, **more: Any) -> str:
    """Begin, and stop at the third call; the id of the run."""
    with pytest.raises(AuthenticationFailed):
        await coa.aio.aggregate(
            book, schema, model="openai:any", base_url=server.base_url, window=WINDOW, concurrency=1, **more
        )
    (run,) = (book.parent / "runs").iterdir()
    return run.name


async def whole(book: Path, schema: SchemaLike, **more: Any) -> tuple[Aggregation, int]:
    with FaultServer(faithful) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "window": WINDOW, "journal": False, **more}
        return await coa.aio.aggregate(book, schema, model="openai:any", **options), server.hits


def same(one: Aggregation, other: Aggregation) -> bool:
    return (one.rows, one.result, one.answer.text) == (other.rows, other.result, other.answer.text)


async def test_what_was_stopped_goes_on_from_anywhere_and_gives_the_same(book: Path, tmp_path: Path) -> None:
    expected, calls = await whole(book, SALE_JSON, query=ASKED, key=("who", "count"))
    assert calls > 3 and expected.rows
    with FaultServer(faithful, faults=REFUSED) as server:
        run = await stopped(book, SALE_JSON, server, query=ASKED, key=("who", "count"))
        (tmp_path / "elsewhere").mkdir()
        with chdir(tmp_path / "elsewhere"):
            found = await coa.aio.resume(run)
        assert isinstance(found, Aggregation) and same(found, expected)
        usage = found.answer.usage
        assert server.hits == calls + 1 and usage.calls_from_journal >= 2
        assert usage.calls + usage.calls_from_journal == calls
        assert found.answer.run_id == run


async def test_a_class_has_to_be_given_again_and_no_other_is_taken(book: Path) -> None:
    class Other(BaseModel):
        who: str

    expected, calls = await whole(book, Sale)
    with FaultServer(faithful, faults=REFUSED) as server:
        run = await stopped(book, Sale, server)
        with pytest.raises(UsageError, match="a class of the program") as caught:
            await coa.aio.resume(run)
        assert "schema=" in caught.value.hint
        with pytest.raises(UsageError, match="another schema"):
            await coa.aio.resume(run, schema=Other)
        found = await coa.aio.resume(run, schema=Sale)
        assert isinstance(found, Aggregation) and same(found, expected)
        assert server.hits == calls + 1


async def test_a_class_in_a_file_is_read_again_unless_it_has_changed(book: Path) -> None:
    code = book.with_name("sale.py")
    fields = ("who: str", "goods: str", "count: int")
    code.write_text("from pydantic import BaseModel\nclass Sale(BaseModel):\n" + "".join(f"    {f}\n" for f in fields))
    with FaultServer(faithful, faults=REFUSED) as server:
        run = await stopped(book, f"{code}:Sale", server)
        whole_again = await coa.aio.resume(run)
        assert isinstance(whole_again, Aggregation) and whole_again.answer.status == "complete"
        code.write_text(code.read_text().replace("goods", "wares"))
        with pytest.raises(InputChanged, match=r"sale\.py"):
            await coa.aio.resume(run)


async def test_changed_documents_and_damaged_requests_are_named(book: Path) -> None:
    with FaultServer(faithful, faults=REFUSED) as server:
        run = await stopped(book, SALE_JSON, server)
        kept = book.parent / "runs" / run / "request.json"
        asked, hits = kept.read_text(), server.hits
        for damage in ("{", "[]", "{}", json.dumps({**json.loads(asked), "query": {"top": "many"}})):
            kept.write_text(damage)
            with pytest.raises(RunNotFound) as caught:
                await coa.aio.resume(run)
            assert "again" in caught.value.hint
        kept.write_text(asked)
        shutil.copy(kept, book)
        with pytest.raises(InputChanged, match=r"book\.txt"):
            await coa.aio.resume(run)
        assert server.hits == hits


async def test_a_join_with_values_beyond_json_is_taken_up_by_the_call_alone(book: Path) -> None:
    with FaultServer(faithful, faults=REFUSED) as server:
        dated = Query(join=Join(records=({"who": "Seller1", "since": date(1904, 5, 1)},), on="who"))
        run = await stopped(book, SALE_JSON, server, query=dated)
        with pytest.raises(RunNotFound) as caught:
            await coa.aio.resume(run)
        assert "call the first function" in caught.value.hint


@pytest.mark.slow
def test_the_command_prints_what_its_own_would(coa: Any, tmp_path: Path) -> None:
    (tmp_path / "dues.txt").write_text("Ship: Heron\nNights: 3\n\nShip: Gull\nNights: 4\n")
    schema = {"title": "Call", "properties": {"Ship": {"type": "string"}, "Nights": {"type": "integer"}}}
    (tmp_path / "call.json").write_text(json.dumps(schema))
    words = (str(tmp_path / "dues.txt"), "--schema", str(tmp_path / "call.json"), "--sum", "Nights", "-q")
    asked = coa("aggregate", *words, "--model", "offline")
    (run,) = [path.name for path in (tmp_path / "runs").iterdir()]
    assert asked.code == 0 and coa("resume", run, "-q").out == asked.out
    again = json.loads(coa("resume", run, "-q", "--json").out)
    assert again["result"][0]["values"] == {"sum of Nights": 7} and again["usage"]["calls"] == 0
