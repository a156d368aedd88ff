"""Run, plan and resume: the three verbs that the command line and the library stand on.

One document's way: `coa.session.prepare` loads, splits and divides the window; a `Caller` becomes the one door to the
model; the pipeline reads; the outcome is kept in the run directory and returned as an `Answer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from coa.config import Settings
from coa.plan import Plan
from coa.serving.base import Model
from coa.session import ReadStdin, SourceLike, prepare
from coa.types import Task

__all__ = ["plan", "resume", "run"]


async def plan(
    task: Task,
    sources: Sequence[SourceLike],
    settings: Settings,
    *,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
) -> Plan:
    """What `run` with the same arguments would cost, at most. Nothing is sent.

    Raises:
        InputError: no source can be loaded.
        UsageError: the request makes no sense.
    """
    session = await prepare(task, sources, settings, stdin=stdin, model=model)
    return session.plan()
