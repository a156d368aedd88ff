"""The journal's file, byte by byte: its form is pinned, each kind of damage is found, what is whole is carried over."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from coa.errors import JournalCorrupt, StorageFailed
from coa.runtime.journal import Overflow, Record, SqliteJournal, request_key
from coa.runtime.journal.damage import mapped
from coa.runtime.journal.schema import prepare
from coa.serving.base import Message, Reply, Request

SCHEMA = "create table calls (seq integer primary key, key text not null unique, record blob not null, checksum text not null)"  # noqa: E501 - as it stands in files


def record(text: str = "Notes.") -> Record:
    reply = Reply(text=text, finish="stop", model="m", prompt_tokens=9, completion_tokens=2)
    return Record(role="worker", messages=(("user", "Read this."),), outcome=reply, seconds=0.5)


def filled(path: Path, rows: int) -> Path:
    journal = SqliteJournal(path)
    for n in range(rows):
        journal.put(f"key {n}", record(f"Notes {n}. " * 30))
    journal.close()
    return path


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return db.execute(statement, values).fetchall()


def page_of(path: Path, name: str) -> tuple[int, int]:
    """Where a table's or an index's first page begins, and how long a page is."""
    ((root,),) = sql(path, "select rootpage from sqlite_master where name = ?", name)
    ((size,),) = sql(path, "pragma page_size")
    return (root - 1) * size, size  # type: ignore[operator]


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_the_key_of_a_request_is_the_same_in_every_version():
    """Another key would make every journal that users have worthless."""
    request = Request(messages=(Message(role="user", content="Read \ud83d 字."),), role="worker", max_tokens=7, seed=3)
    canonical = '["m",[["user","Read \\ud83d \\u5b57."]],7,0.0,0,3]'
    assert request_key("m", request) == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_journal_of_the_first_version_is_read(tmp_path: Path):
    path = tmp_path / "journal.db"
    data = json.dumps(
        {
            "role": "worker",
            "messages": [["user", "Read this."]],
            "reply": {"text": "字", "finish": "stop", "model": "m"},
            "seconds": 0.5,
        },
        ensure_ascii=False,
    ).encode()
    sql(path, SCHEMA)
    sql(path, "pragma application_id=1668243818")
    sql(path, "pragma user_version=1")
    checksum = hashlib.sha256(b"k\n" + data).hexdigest()
    sql(path, "insert into calls (key, record, checksum) values ('k', ?, ?)", data, checksum)
    journal = SqliteJournal(path, warn=pytest.fail)
    got = journal.get("k")
    assert got is not None and isinstance(got.outcome, Reply) and got.outcome.text == "字"


def test_a_new_journal_has_its_mark_its_version_and_a_log_ahead(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 1)
    assert sql(path, "pragma application_id") == [(0x636F616A,)]
    assert sql(path, "pragma user_version") == [(1,)]
    assert sql(path, "pragma journal_mode") == [("wal",)]
    (row,) = sql(path, "select record from calls")
    assert record("Notes 0. " * 30).dump().encode() == row[0]
    assert "字" in record("字").dump()


def test_a_file_without_its_version_gets_it(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 1)
    sql(path, "pragma user_version=0")
    SqliteJournal(path).close()
    assert sql(path, "pragma user_version") == [(1,)]


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_what_is_durable_waits_for_the_disk_at_each_commit(tmp_path: Path, durable: bool, level: int):
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        prepare(db, durable=durable)
        assert db.execute("pragma synchronous").fetchone() == (level,)


def test_a_damaged_row_is_taken_out_and_its_call_can_be_written_again(tmp_path: Path):
    path, said = filled(tmp_path / "journal.db", 3), list[str]()
    sql(path, "update calls set record = replace(record, 'Notes 1', 'Notes 7') where key = 'key 1'")
    journal = SqliteJournal(path, warn=said.append)
    assert [entry.key for entry in journal.entries()] == ["key 0", "key 2"]
    assert len(said) == 1 and "row 2" in said[0]
    assert journal.get("key 1") is None
    assert len(said) == 2 and "row 2" in said[1] and "made again" in said[1]
    journal.put("key 1", record("again"))
    assert journal.get("key 1") == record("again")
    assert journal.get("key 0") is not None and journal.get("key 2") is not None
    assert len(said) == 2


def test_a_row_under_another_rows_key_is_damaged_too(tmp_path: Path):
    path, said = filled(tmp_path / "journal.db", 2), list[str]()
    sql(path, "update calls set key = 'other' where key = 'key 1'")
    assert SqliteJournal(path, warn=said.append).get("other") is None
    assert said


def test_who_only_looks_gets_an_error_and_writes_nothing(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 2)
    sql(path, "update calls set checksum = 'no' where key = 'key 1'")
    journal = SqliteJournal(path, readonly=True)
    assert journal.get("key 0") is not None
    with pytest.raises(JournalCorrupt, match="row 2"):
        journal.get("key 1")
    with pytest.raises(StorageFailed):
        journal.put("new", record())
    journal.close()
    assert sql(path, "select count(*) from calls") == [(2,)]
    with pytest.raises(StorageFailed):
        SqliteJournal(tmp_path / "none.db", readonly=True)
    assert not (tmp_path / "none.db").exists()


def test_whole_rows_of_a_file_that_cannot_be_trusted_are_carried_over(tmp_path: Path):
    """The index is overwritten: SQLite's own check fails, and the rows are still all there but for a bad one."""
    path, said = filled(tmp_path / "journal.db", 200), list[str]()
    sql(path, "update calls set checksum = 'no' where key = 'key 5'")
    at, size = page_of(path, "sqlite_autoindex_calls_1")
    overwrite(path, at, b"\xff" * size)
    journal = SqliteJournal(path, warn=said.append)
    assert len(said) == 1 and "damaged-1" in said[0] and "199 calls were kept" in said[0]
    kept = {entry.key: entry.record for entry in journal.entries()}
    assert kept == {f"key {n}": record(f"Notes {n}. " * 30) for n in range(200) if n != 5}
    journal.put("key 5", record("again"))
    journal.close()
    assert SqliteJournal(path, warn=pytest.fail).get("key 5") == record("again")


def test_damage_goes_aside_with_its_log_to_a_name_that_is_free(tmp_path: Path):
    path = tmp_path / "journal.db"
    for n in (1, 2):
        path.write_bytes(b"no database at all. " * 100)
        (tmp_path / "journal.db-shm").write_bytes(b"its index")
        SqliteJournal(path).close()
        assert (tmp_path / f"journal.db.damaged-{n}").read_bytes().startswith(b"no database")
        assert not path.with_name("journal.db-shm").exists()


def test_a_row_that_sqlite_cannot_reach_is_an_error_not_a_missing_reply(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 200)
    at, size = page_of(path, "calls")
    overwrite(path, at, b"\xff" * size)
    journal = SqliteJournal(path, readonly=True)
    with pytest.raises(JournalCorrupt):
        journal.get("key 0")
    with pytest.raises(JournalCorrupt):
        list(journal.entries())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, StorageFailed),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFailed),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageFailed),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageFailed),
        (sqlite3.SQLITE_CORRUPT, JournalCorrupt),
        (sqlite3.SQLITE_NOTADB, JournalCorrupt),
        (None, JournalCorrupt),
    ],
)
def test_the_disks_fault_is_told_from_damage(code: int | None, expected: type[Exception]):
    error = sqlite3.OperationalError("as SQLite says it")
    if code is not None:
        error.sqlite_errorcode = code
    with pytest.raises(expected, match="as SQLite says it"), mapped():
        raise error


def test_a_full_disk_stops_a_write_and_what_was_written_stays(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 3)
    journal = SqliteJournal(path)
    pages = sql(path, "pragma page_count")[0][0]
    journal._db.execute(f"pragma max_page_count={pages}")  # type: ignore[attr-defined] - stands for a disk that is full
    with pytest.raises(StorageFailed, match="full"):
        for n in range(100):
            journal.put(f"more {n}", record("x" * 4000))
    journal.close()
    again = SqliteJournal(path, warn=pytest.fail)
    assert all(again.get(f"key {n}") is not None for n in range(3))
    assert sql(path, "pragma integrity_check") == [("ok",)]


def test_a_newer_journal_is_named_by_its_public_class(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 1)
    sql(path, "pragma user_version=2")
    with pytest.raises(JournalCorrupt, match="version 2") as caught:
        SqliteJournal(path)
    assert caught.value.code == "JournalCorrupt"


def test_a_file_that_is_refused_is_not_left_open(tmp_path: Path):
    path = filled(tmp_path / "journal.db", 1)
    sql(path, "pragma user_version=2")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(JournalCorrupt) as caught:
            SqliteJournal(path)
        caught.value.__traceback__ = None
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_journal_opened_in_one_thread_is_used_in_another(tmp_path: Path):
    journal = SqliteJournal(tmp_path / "journal.db")
    overflow = Record(role="worker", messages=(), outcome=Overflow(message="long", limit=5, actual=9), seconds=0.0)
    thread = threading.Thread(target=journal.put, args=("k", overflow))
    thread.start()
    thread.join()
    assert journal.get("k") == overflow


def test_each_write_stands_at_once_for_every_other_reader(tmp_path: Path):
    path = tmp_path / "journal.db"
    writer = SqliteJournal(path)
    reader = SqliteJournal(path, readonly=True)
    for n in range(3):
        writer.put(f"k{n}", record())
        assert reader.get(f"k{n}") == record()
