"""`WriteOptions`: how to write, what of it changes the text, and its form in the run directory."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from coa.errors import RunNotFound, UsageError
from coa.writing.allocate import LEAF_WORDS
from coa.writing.plan import Outline

METHODS = ("planned", "agentwrite")
MEMORIES = ("auto", "full", "rolling")
LEAST_TOTAL, MOST_TOTAL = 20, 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How to write.

    Attributes:
        words: Length to reach.
        style: How it should read, in words.
        language: The language to write in; empty takes that of the brief.
        parallel: Chapters in the making at once.
        method: ``planned``, or ``agentwrite`` for the published flow.
        memory: What a section is told of its chapter: ``full`` text, ``rolling`` first sentences, or ``auto``.
        edits: Whether seams and contradictions are looked over at the end.
        outline: A plan to follow instead of making one.
    """

    words: int = 2_000
    style: str = ""
    language: str = ""
    parallel: int = 4
    method: str = "planned"
    memory: str = "auto"
    edits: bool = True
    outline: Outline | None = None

    @property
    def key(self) -> str:
        """What of the options changes the text; ``parallel`` does not."""
        outline = self.outline.to_yaml() if self.outline else ""
        return "\n".join([self.style, self.language, self.memory, str(self.edits), str(LEAF_WORDS), outline])


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """All that a run needs to be taken up: the run directory keeps it as ``request.json``.

    Attributes:
        brief: What is to be written.
        options: How.
        found: Whether a `Retriever` of the caller's finds the evidence: it cannot be kept.
    """

    brief: str
    options: WriteOptions
    found: bool = False

    def to_json(self) -> bytes:
        """The request as it is kept."""
        return _REQUEST.dump_json(self, indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> WriteRequest:
        """A request that was kept.

        Raises:
            RunNotFound: it is damaged.
        """
        try:
            return _REQUEST.validate_json(data)
        except ValidationError:
            raise RunNotFound("the run's request.json is damaged", hint="Give the first command again.") from None


_REQUEST = TypeAdapter(WriteRequest)


def check_request(brief: str, options: WriteOptions) -> None:
    """Whether it can be written at all.

    Raises:
        UsageError: an empty brief, an impossible length, an unknown method or memory.
    """
    if not brief.strip():
        raise UsageError("there is nothing to write about", hint='Say what to write: coa write "A guide to ..."')
    if not LEAST_TOTAL <= options.words <= MOST_TOTAL:
        raise UsageError(
            f"{options.words} words cannot be written", hint=f"Give {LEAST_TOTAL} to {MOST_TOTAL} --words."
        )
    if options.method not in METHODS:
        raise UsageError(f"unknown method {options.method!r}", hint=f"Choose one of: {', '.join(METHODS)}.")
    if options.memory not in MEMORIES:
        raise UsageError(f"unknown memory {options.memory!r}", hint=f"Choose one of: {', '.join(MEMORIES)}.")
    for _, message in options.outline.misfits() if options.outline else ():
        raise UsageError(message, hint="Give it parts, or other words.")
    if options.parallel < 1:
        raise UsageError("at least one chapter must be in the making", hint="Give --parallel 1 or more.")
