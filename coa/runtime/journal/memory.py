"""A journal that lives as long as the process: ``--no-journal``, and the second implementation of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

from coa.runtime.journal.base import Entry, Record


class MemoryJournal:
    """Records in a dict."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def get(self, key: str) -> Record | None:
        """See `Journal.get`."""
        return self._records.get(key)

    def put(self, key: str, record: Record) -> None:
        """See `Journal.put`."""
        self._records.setdefault(key, record)

    def entries(self) -> Iterator[Entry]:
        """See `Journal.entries`."""
        for seq, (key, record) in enumerate(self._records.items(), 1):
            yield Entry(seq=seq, key=key, record=record)

    def close(self) -> None:
        """Nothing to release."""
