"""Both journals, one behaviour; and on disk: damage is found, never used."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from coa.errors import JournalCorrupt, StorageFailed
from coa.runtime.journal import Journal, MemoryJournal, Overflow, Record, SqliteJournal, request_key
from coa.serving.base import Message, Reply, Request

REQUEST = Request(messages=(Message(role="user", content="Read this."),), role="worker")


def record(text: str = "Notes.") -> Record:
    reply = Reply(text=text, finish="stop", model="m", prompt_tokens=9, completion_tokens=2)
    return Record(role="worker", messages=(("user", "Read this."),), outcome=reply, seconds=0.5)


@pytest.fixture(params=["memory", "sqlite", "durable"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    if request.param == "memory":
        return MemoryJournal
    return lambda: SqliteJournal(tmp_path / "journal.db", durable=request.param == "durable")


def test_what_is_put_is_got_and_the_first_record_stays(make: Callable[[], Journal]):
    journal = make()
    assert journal.get("k") is None
    journal.put("k", record("first"))
    journal.put("k", record("second"))
    overflow = Record(role="worker", messages=(), outcome=Overflow(message="long", limit=5, actual=9), seconds=0.0)
    journal.put("o", overflow)
    assert journal.get("k") == record("first")
    assert journal.get("o") == overflow
    assert [(entry.seq, entry.key) for entry in journal.entries()] == [(1, "k"), (2, "o")]
    journal.close()


def test_the_key_holds_all_that_determines_a_reply_and_nothing_else():
    def key(model: str = "m", **changes: object) -> str:
        fields = {"messages": REQUEST.messages, "role": "worker", "inputs": {"part": 1}} | changes
        return request_key(model, Request(**fields))  # type: ignore[arg-type]

    same = key()
    assert key(inputs={"part": 2}) == same
    other = (Message(role="user", content="Read that."),)
    changed = [key("n"), key(messages=other), key(max_tokens=7), key(temperature=0.5), key(sample=1), key(seed=1)]
    assert len({same, *changed}) == 7


def test_a_journal_is_read_again_by_the_next_process(tmp_path: Path):
    first = SqliteJournal(tmp_path / "journal.db")
    first.put("k", record())
    first.close()
    assert SqliteJournal(tmp_path / "journal.db").get("k") == record()


def test_a_flipped_byte_never_gives_a_wrong_reply(tmp_path: Path):
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    for n in range(20):
        journal.put(f"k{n}", record(f"The notes number {n}."))
    journal.close()
    whole = path.read_bytes()
    wrong = found = 0
    said: list[str] = []
    for offset in (len(whole) * n // 500 for n in range(500)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x5A]) + whole[offset + 1 :])
        try:
            damaged = SqliteJournal(path, warn=said.append)
            for n in range(20):
                got = damaged.get(f"k{n}")
                wrong += got is not None and got != record(f"The notes number {n}.")
            damaged.close()
        except (JournalCorrupt, StorageFailed):
            found += 1
    assert wrong == 0
    assert found + len(said) > 0


def test_a_newer_journal_is_left_as_it_is(tmp_path: Path):
    newer = tmp_path / "newer.db"
    SqliteJournal(newer).close()
    with sqlite3.connect(newer) as database:
        database.execute("pragma user_version = 99")
    database.close()
    before = newer.read_bytes()
    with pytest.raises(JournalCorrupt) as caught:
        SqliteJournal(newer)
    assert "Upgrade" in caught.value.hint
    assert newer.read_bytes() == before


@pytest.mark.parametrize("kind", ["foreign", "junk", "cut"])
def test_a_file_that_is_no_journal_is_put_aside_and_whole_rows_are_kept(tmp_path: Path, kind: str):
    path, said = tmp_path / "journal.db", list[str]()
    if kind == "foreign":
        with sqlite3.connect(path) as database:
            database.execute("create table other (x)")
        database.close()
    elif kind == "junk":
        path.write_bytes(b"this is no database at all" * 100)
    else:
        journal = SqliteJournal(path)
        for number in range(200):
            journal.put(f"key {number}", record("x" * 300))
        journal.close()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    journal = SqliteJournal(path, warn=said.append)
    journal.put("new", record("new"))
    assert journal.get("new") == record("new")
    assert all(entry.record in (record("x" * 300), record("new")) for entry in journal.entries())
    journal.close()
    assert len(said) == 1
    assert list(tmp_path.glob("journal.db.damaged-1"))


def test_who_only_looks_mends_nothing(tmp_path: Path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(JournalCorrupt):
        SqliteJournal(path, readonly=True)
    assert [each.name for each in tmp_path.iterdir()] == ["journal.db"]


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path):
    with pytest.raises(StorageFailed):
        SqliteJournal(tmp_path / "no" / "journal.db")


def test_a_record_survives_json(tmp_path: Path):
    assert Record.parse(record("zwölf 字 \x00").dump()) == record("zwölf 字 \x00")
    with pytest.raises((KeyError, TypeError, ValueError)):
        Record.parse(json.dumps({"role": "x"}))
