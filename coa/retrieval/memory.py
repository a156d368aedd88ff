"""`Memory`: what was said in conversations and found out in runs, found again by words, meaning, speaker and date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.base import Entry, Hit, Record
from coa.retrieval.embedders import Embedder
from coa.retrieval.index import Index
from coa.retrieval.ranking import Ranking
from coa.retrieval.units import unit_spans
from coa.types import Answer

_SCHEME = "memory:"
_OWN_SPEAKER = "coa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Something said. ``date`` is an ISO date, such as 2024-05-01."""

    speaker: str
    text: str
    date: str


class Memory:
    """Conversations in an index. Each is a document, each turn one or more units with ``speaker`` and ``date``.

    Args:
        folder: Where it is, or shall be; or the address of a store.
        embedder: As in `Index.create`.

    Raises:
        UnusableIndex: the folder is no index, or its vectors are another embedder's.
    """

    def __init__(self, folder: str | Path, *, embedder: str | Embedder | None = None) -> None:
        self._index = Index.create(folder, embedder=embedder)

    def close(self) -> None:
        """Release the files."""
        self._index.close()

    def remember(self, conversation: str, turns: Sequence[Turn]) -> None:
        """Add turns to the end of a conversation; it is begun where there is none. Old turns keep their vectors.

        Raises:
            UsageError: a turn without a text or a speaker, or with a date that is none.
        """
        for turn in turns:
            _check(turn)
        store = self._index.store
        path = _SCHEME + conversation
        doc = next((source.id for source in store.sources() if source.path == path), None)
        old = store.document(doc) if doc is not None else None
        entries = self._entries(doc) if doc is not None else []
        text = old.text if old is not None else ""
        for turn in turns:
            start = len(text)
            text += f"{turn.speaker}: {turn.text.strip()}\n"
            entries += _units(text, start, turn)
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        document = Document(id=conversation, path=path, text=text, sha256=digest)
        store.put([Record(document=document, entries=entries)])
        self._index.fill()

    def keep(self, conversation: str, question: str, answer: Answer, when: date) -> None:
        """Remember a question and what a run answered."""
        self.remember(
            conversation,
            [
                Turn(speaker="user", text=question, date=when.isoformat()),
                Turn(speaker=_OWN_SPEAKER, text=answer.text, date=when.isoformat()),
            ],
        )

    def recall(
        self,
        query: str,
        k: int = 5,
        *,
        speaker: str | None = None,
        since: str | None = None,
        until: str | None = None,
        how: Ranking | None = None,
    ) -> list[Hit]:
        """What was said that bears on a query: by whom and when is in ``hit.fields``.

        Args:
            query: Words or a question.
            k: How many at most.
            speaker: Only what this one said.
            since: Only from this ISO date on.
            until: Only up to this ISO date.
            how: More switches.
        """
        where: dict[str, Any] = {} if speaker is None else {"speaker": speaker}
        bounds = {name: _date(value) for name, value in (("gte", since), ("lte", until)) if value is not None}
        if bounds:
            where["date"] = bounds
        return self._index.find(query, k, where=where or None, how=how)

    def forget(self, conversation: str) -> bool:
        """Take a conversation out; whether there was one."""
        return self._index.remove(_SCHEME + conversation)

    def _entries(self, doc: str) -> list[Entry]:
        from coa.retrieval.filters import condition

        store = self._index.store
        units = store.units(store.find(condition({"doc": doc}), 1 << 20))
        return [Entry(start=unit.span.start, end=unit.span.end, fields=unit.fields) for unit in units]


def _units(text: str, start: int, turn: Turn) -> list[Entry]:
    fields: Mapping[str, str] = {"speaker": turn.speaker, "date": turn.date}
    return [Entry(start=start + a, end=start + b, fields=dict(fields)) for a, b in unit_spans(text[start:])]


def _check(turn: Turn) -> None:
    if not turn.text.strip() or not turn.speaker.strip():
        raise UsageError("a turn needs a speaker and a text", hint="Leave empty turns out.")
    _date(turn.date)


def _date(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError(f"{value!r} is no date", hint="Write it as 2024-05-01.") from None
