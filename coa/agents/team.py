"""`Team`: which agents play the roles of a run. A team with an agent of your own changes a role without a fork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coa.agents.base import Context
from coa.agents.judge import Candidate, Judge
from coa.agents.manager import Manager
from coa.agents.merger import Merged, Merger
from coa.agents.reader import Reader
from coa.agents.worker import Worker, WorkerResult
from coa.serving.base import Request
from coa.types import Evidence, Notes, Passage


class WorkerAgent(Protocol):
    """Reads a passage with the notes so far and writes new notes."""

    def request(self, passage: Passage, notes: Notes, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt; ``inputs`` hold ``passage`` and ``notes``."""
        ...

    async def run(self, request: Request, ctx: Context) -> WorkerResult:
        """Send it and parse the reply."""
        ...


class ManagerAgent(Protocol):
    """Writes the final text from notes and their quotes."""

    def request(self, notes: Notes, quotes: Sequence[Evidence], ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt."""
        ...

    async def run(self, request: Request, ctx: Context) -> str:
        """Send it; the text keeps its markers."""
        ...


class MergerAgent(Protocol):
    """Makes one set of notes of several."""

    def request(self, notes: Notes, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt for notes that were joined."""
        ...

    async def run(self, request: Request, ctx: Context) -> Merged:
        """Send it and parse the reply."""
        ...


class ReaderAgent(Protocol):
    """Writes the final text from a whole document."""

    def request(self, passage: Passage, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt."""
        ...

    async def run(self, request: Request, ctx: Context) -> WorkerResult:
        """Send it; the notes that come back are the text with its evidence."""
        ...


class JudgeAgent(Protocol):
    """Names the best of several texts."""

    def request(self, candidates: Sequence[Candidate], ctx: Context) -> Request:
        """Render the prompt."""
        ...

    async def run(self, request: Request, ctx: Context) -> int:
        """The index of the one it named."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """An agent for each role."""

    worker: WorkerAgent = field(default_factory=Worker)
    manager: ManagerAgent = field(default_factory=Manager)
    merger: MergerAgent = field(default_factory=Merger)
    reader: ReaderAgent = field(default_factory=Reader)
    judge: JudgeAgent = field(default_factory=Judge)


def team_of(ctx: Context) -> Team:
    """The team of a run; the usual one where none was named."""
    return ctx.team or Team()
