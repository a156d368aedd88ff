"""`Journal`: the protocol, what a row holds, and the key that finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

from coa.serving.base import Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """The server refused a prompt for its length: kept, so that a resumed run splits the same chunk the same way."""

    message: str
    limit: int | None
    actual: int | None


Outcome = Reply | Overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call: who spoke, the prompt that was really sent, what came back, how long it took."""

    role: str
    messages: tuple[tuple[str, str], ...]
    outcome: Outcome
    seconds: float

    def dump(self) -> str:
        """As JSON."""
        kind = "reply" if isinstance(self.outcome, Reply) else "overflow"
        return json.dumps(
            {"role": self.role, "messages": self.messages, kind: asdict(self.outcome), "seconds": self.seconds},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, text: str) -> Record:
        """From JSON; KeyError, TypeError or ValueError for anything else."""
        raw = cast(dict[str, Any], json.loads(text))
        outcome = Reply(**raw["reply"]) if "reply" in raw else Overflow(**raw["overflow"])
        messages = tuple((str(role), str(content)) for role, content in raw["messages"])
        return cls(role=raw["role"], messages=messages, outcome=outcome, seconds=float(raw["seconds"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record with its place in the journal, counted from 1."""

    seq: int
    key: str
    record: Record


class Journal(Protocol):
    """Keeps records by key. The first record of a key stays: a second `put` changes nothing."""

    def get(self, key: str) -> Record | None:
        """The record of a call that was made before."""
        ...

    def put(self, key: str, record: Record) -> None:
        """Keep a record; on return it survives the death of the process.

        Raises:
            StorageFailed: the disk is full or cannot be written.
        """
        ...

    def entries(self) -> Iterator[Entry]:
        """All records in the order in which they were put."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def request_key(model: str, request: Request) -> str:
    """sha256 of everything that determines a reply, and of nothing else (no path, no clock, no attempt)."""
    content = [
        model,
        [[message.role, message.content] for message in request.messages],
        request.max_tokens,
        request.temperature,
        request.sample,
        request.seed,
    ]
    canonical = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
