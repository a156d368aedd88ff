"""A finished run played again from its journal: every prompt that was really sent, every reply that came back."""

from __future__ import annotations

from dataclasses import dataclass

from coa.agents.fence import Fence
from coa.agents.replies import nothing_new, usable
from coa.config import Settings
from coa.documents import Document
from coa.errors import ContextOverflow, InvalidReply, UsageError
from coa.events import ignore
from coa.runtime.journal import Journal, Overflow, request_key
from coa.runtime.manifest import Manifest, check_unchanged
from coa.runtime.runs import Runs
from coa.serving.base import Model, Reply, Request
from coa.session import Session, prepare
from coa.types import Task, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One agent's turn.

    Attributes:
        request: As it was sent; ``inputs`` hold the values that it was rendered from.
        text: What was made of the reply.
    """

    request: Request
    text: str

    @property
    def agent(self) -> str:
        """The agent's role."""
        return self.request.role


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run: its steps in the order in which they were taken, the last of which wrote the answer."""

    task: Task
    documents: tuple[Document, ...]
    fence: Fence
    steps: tuple[Step, ...]


async def played(manifest: Manifest, runs: Runs, settings: Settings, model: Model) -> Played:
    """Play a run again: the pipeline is the same, the journal answers, nothing is sent.

    Args:
        manifest: The run.
        runs: Where it lies.
        settings: Of the trace; what the run was begun with is taken from the manifest.
        model: The run's model, for its name and its counter.

    Raises:
        InputChanged: a document is no longer what it was.
        UsageError: the journal does not hold the whole run.
    """
    session = await session_of(manifest, runs, settings, model)
    with runs.journal(manifest) as journal:
        recorder = Recorder(manifest, journal)
        outcome = await session.pipeline.run(session.job(recorder, ignore))
    return Played(
        task=manifest.task,
        documents=session.documents,
        fence=session.ctx.fence,
        steps=steps_of(recorder, session, outcome.sample),
    )


async def session_of(manifest: Manifest, runs: Runs, settings: Settings, model: Model) -> Session:
    """The session of a run, prepared as it was.

    Raises:
        InputChanged: a document is no longer what it was.
    """
    same = settings.model_copy(
        update={
            "window": manifest.window,
            "topology": manifest.topology,
            "order": manifest.order,
            "fallback": (),
            **manifest.method,
        }
    )
    session = await prepare(manifest.task, manifest.sources, same, stdin=lambda: runs.stdin(manifest), model=model)
    check_unchanged(manifest, session.documents)
    return session


class Recorder:
    """Stands where the caller stands in a run, and answers from the journal alone."""

    usage = Usage()

    def __init__(self, manifest: Manifest, journal: Journal) -> None:
        self._manifest, self._journal = manifest, journal
        self.said: list[tuple[Request, Reply]] = []

    async def __call__(self, request: Request) -> Reply:
        """The reply that came back in the run.

        Raises:
            UsageError: the journal does not hold it.
        """
        record = self._journal.get(request_key(self._manifest.model, request))
        if record is None:
            reply = await self.missing(request)
            self.said.append((request, reply))
            return reply
        if isinstance(record.outcome, Overflow):
            raise ContextOverflow(record.outcome.message, limit=record.outcome.limit, actual=record.outcome.actual)
        self.said.append((request, record.outcome))
        return record.outcome

    async def missing(self, request: Request) -> Reply:
        """What to do about a request that the journal does not hold."""
        raise UsageError(
            f"the journal of run {self._manifest.run_id!r} does not hold the whole run",
            hint=f"Finish it first: coa resume {self._manifest.run_id}, or trace with --direct.",
        )


def steps_of(recorder: Recorder, session: Session, sample: int) -> tuple[Step, ...]:
    """Turns that gave something, of the selected reading alone; the agent that writes the answer stands last."""
    told = [(request, reply) for request, reply in recorder.said if request.sample == sample]
    turns = [step_of(request, reply) for request, reply in told if request.role != "judge"]
    steps = [step for step in turns if step is not None]
    final = [step for step in steps if step.agent in ("manager", "reader")]
    if not final:
        raise UsageError(
            f"a run of topology {session.settings.topology!r} has no agent that writes the answer",
            hint="Trace it with --direct.",
        )
    others = [step for step in steps if step.agent not in ("manager", "reader")]
    return (*others, final[-1])


def step_of(request: Request, reply: Reply) -> Step | None:
    """A turn, or None where the reply was of no use and was asked for again, or a worker had nothing to say."""
    try:
        text = usable(reply)
    except InvalidReply:
        return None  # It was asked for again.
    return None if request.role == "worker" and nothing_new(text) else Step(request=request, text=text)
