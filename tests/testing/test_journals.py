"""Both journals conform, and a journal that does not is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coa.runtime.journal import Entry, MemoryJournal, Record, SqliteJournal
from coa.testing import check_journal


def test_the_journal_on_disk_conforms(tmp_path: Path) -> None:
    check_journal(lambda: SqliteJournal(tmp_path / "journal.db"))


def test_the_journal_on_a_disk_that_may_lose_power_conforms(tmp_path: Path) -> None:
    check_journal(lambda: SqliteJournal(tmp_path / "journal.db", durable=True))


def test_the_journal_in_memory_conforms() -> None:
    check_journal(MemoryJournal, persistent=False)
    journal = MemoryJournal()
    check_journal(lambda: journal)


class LastWins(MemoryJournal):
    def put(self, key: str, record: Record) -> None:
        self._records[key] = record


class Backwards(MemoryJournal):
    def entries(self) -> Iterator[Entry]:
        return iter(list(super().entries())[::-1])


class FromZero(MemoryJournal):
    def entries(self) -> Iterator[Entry]:
        for entry in super().entries():
            yield Entry(seq=entry.seq - 1, key=entry.key, record=entry.record)


class Forgetful(MemoryJournal):
    def put(self, key: str, record: Record) -> None:
        if not key.startswith("many"):
            super().put(key, record)


class Plain(MemoryJournal):
    """Keeps what UTF-8 can say."""

    def put(self, key: str, record: Record) -> None:
        super().put(key, Record.parse(record.dump().encode("utf-8", "replace").decode()))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (LastWins, "replaces the first"),
        (Backwards, "in the order"),
        (FromZero, "from 1"),
        (Forgetful, "is lost"),
        (Plain, "does not come back"),
    ],
)
def test_a_bent_journal_is_found_out(kind: type[MemoryJournal], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_journal(kind, persistent=False)


def test_one_that_forgets_when_it_is_closed_is_found_out() -> None:
    with pytest.raises(AssertionError, match="when it is closed"):
        check_journal(MemoryJournal)
