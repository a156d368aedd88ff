"""`Pipeline`: from a `Job` to an `Outcome`. And the job itself: everything one run needs, passed explicitly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from coa.agents.base import Context
from coa.documents import Document
from coa.events import Emit
from coa.pipelines.likeness import Measure, vectors
from coa.pipelines.window import Window
from coa.types import Chunk, Citation, Coverage, Reading, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run's documents, chunks and tools. Travels as LangGraph's ``context``, which is never checkpointed.

    Attributes:
        order: Indices into ``chunks``, in the order of reading.
        usage: The total so far.
        measure: What likeness of texts is measured with.
    """

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    order: tuple[int, ...]
    ctx: Context
    window: Window
    emit: Emit
    usage: Callable[[], Usage]
    measure: Measure = vectors

    def document(self, doc: str) -> Document:
        """The document with this id."""
        return next(document for document in self.documents if document.id == doc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a pipeline hands back: the cited text and the truth about what was read.

    Attributes:
        sample: Of several readings, the index of the one that the text is from: `Request.sample` of its calls.
        readings: All of several readings.
        more: Where several questions shared the reading, what came of those after the first.
    """

    text: str
    citations: tuple[Citation, ...]
    coverage: Coverage
    warnings: tuple[str, ...] = ()
    sample: int = 0
    readings: tuple[Reading, ...] = ()
    more: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What a pipeline will ask of the model, at most: before anything is sent.

    Attributes:
        serial: Calls that must wait for one another, the critical path.
    """

    calls: int
    serial: int
    prompt_tokens: int
    completion_tokens: int

    def plus(self, more: Calls, times: int = 1) -> Calls:
        """These and ``times`` as many more, which run side by side behind these."""
        return Calls(
            calls=self.calls + times * more.calls,
            serial=self.serial + more.serial,
            prompt_tokens=self.prompt_tokens + times * more.prompt_tokens,
            completion_tokens=self.completion_tokens + times * more.completion_tokens,
        )


@runtime_checkable
class Pipeline(Protocol):
    """Anything that turns a job into an outcome, and says beforehand what it will cost."""

    @property
    def graph(self) -> Any:
        """The compiled LangGraph graph; run it with ``context=job``, alone or as a node of another graph."""
        ...

    def steps(self, chunks: int) -> int:
        """How many steps of progress a run over so many chunks reports."""
        ...

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """What a run over these chunks asks of the model, at most.

        Raises:
            WindowTooSmall: the pipeline cannot read them in this window.
        """
        ...

    async def run(self, job: Job) -> Outcome:
        """Read, and answer."""
        ...
