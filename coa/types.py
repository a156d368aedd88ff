"""The values that travel from a document to an answer.

Everything here is immutable, keyword-only and free of behaviour that needs another module: these are the words of the
project (Span, Chunk, Citation, Coverage, Usage, Answer), and every other module may import them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["complete", "partial"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """A stretch of one document, in characters of its normalised text.

    ``document.text[span.start:span.end]`` is the quote, always, verbatim.

    Attributes:
        doc: The id of the document.
        start: First character, counted from 0.
        end: One past the last character.
    """

    doc: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span with its place in the reading list and its size in tokens; never a copy of the text."""

    index: int
    span: Span
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A verified piece of evidence: ``quote`` stands in the document at ``span``, to the letter.

    Attributes:
        marker: The number shown as ``[marker]`` in the answer's text; 0 where the text can carry none, as in code.
        span: Where the quote stands.
        quote: The quoted text.
        line: Line of the normalised text where the quote begins, counted from 1.
        page: Page where the quote begins, counted from 1; None where the format has no pages.
        claim: ``(start, end)`` in characters of the answer's text: the sentence that the quote supports.
    """

    marker: int
    span: Span
    quote: str
    line: int
    page: int | None = None
    claim: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A stretch that did not reach the answer, and why."""

    span: Span
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What was read of all that was given.

    Attributes:
        chunks: Pieces that the documents were split into.
        read: Those of them that were read from end to end.
        skipped: Stretches that were left out on purpose.
        failed: Stretches that could not be read; a file that could not even be loaded is one of no length.
    """

    chunks: int = 0
    read: int = 0
    skipped: tuple[Unread, ...] = ()
    failed: tuple[Unread, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything was read."""
        return self.read == self.chunks and not self.skipped and not self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run consumed. Tokens as the provider reports them; ``cost_usd`` is None where no price is known.

    ``calls`` counts the calls that were sent in this process; ``calls_from_journal`` those answered from the journal.
    ``context_tokens`` is the effective context (arXiv 2410.04343): the input tokens of all calls behind the result,
    those answered from the journal among them, so that a resumed run shows the same as an uninterrupted one.
    """

    calls: int = 0
    calls_from_journal: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    seconds: float = 0.0
    context_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document as an answer names it: enough to find it again and to see that it has not changed."""

    id: str
    path: str
    sha256: str
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The typed outcome of a closed question.

    Attributes:
        options: What could be chosen.
        chosen: One of them, as it was given; None where none was.
        outcome: ``chosen``; ``not stated`` where the document does not decide it; ``not judged`` where the model named
            no option, also when asked again, as the offline engine never does.
    """

    options: tuple[str, ...]
    chosen: str | None
    outcome: Literal["chosen", "not stated", "not judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One of several readings of the documents (``--paths``).

    Attributes:
        name: Such as ``backward`` or ``sample 3``.
        text: What it came to; empty where it failed.
        fate: Whether the answer is its text.
        reason: Why it was selected, or why it failed.
    """

    name: str
    text: str
    fate: Literal["selected", "not selected", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A question asked on the way to an answer, and what was found."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A worked example for a prompt: a question with its answer, perhaps the passages and the steps that led to it."""

    question: str
    answer: str
    passages: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a pipeline: text, evidence, and the truth about what was read and what it cost.

    ``choice`` is there when the question was a closed one, ``readings`` when the documents were read in several ways,
    ``steps`` when follow-up questions were asked,
    ``batch`` when several questions shared the reading: an answer for each, in their order, the usage with the first.
    """

    text: str
    status: Status
    run_id: str
    model: str
    documents: tuple[Source, ...] = ()
    citations: tuple[Citation, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    usage: Usage = field(default_factory=Usage)
    warnings: tuple[str, ...] = ()
    choice: Choice | None = None
    readings: tuple[Reading, ...] = ()
    steps: tuple[Step, ...] = ()
    batch: tuple[Answer, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--json`` prints: plain dicts, lists, strings and numbers."""
        from coa.report import answer_to_dict

        return answer_to_dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where code is to be written.

    Attributes:
        file: A path inside the repository, with ``/`` between its parts.
        line: The first line to be written, counted from 1; everything from it on is not looked at.
        lines: How many lines to write.
        files: Other files of the repository to read, at most.
    """

    file: str
    line: int
    lines: int = 1
    files: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One of several questions that share a reading; a closed one has ``choices``."""

    query: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to do with the documents.

    Attributes:
        kind: ``summary``, ``qa``, ``verify``, ``complete``, ``aggregate``, ``trace``, ``write`` or ``rerank``.
        query: The question, or the focus of a summary; None for a plain summary. Of a trace, question and answer;
            of a verification, the claim; of a completion, the code right before the place; of an aggregation, the
            schema and what to look for.
        words: Length to aim at; None leaves it to the pipeline.
        place: Of a completion.
        choices: Of a closed question, at least two.
        retrieve: Tokens of passages to read, chosen by their bearing on the query; None reads everything.
        rounds: Follow-up questions at most, each with ``retrieve`` more tokens of passages, all in one prompt; None
            lets a chain read the passages.
        shots: Worked examples for these prompts.
        batch: Questions that share one reading; ``query`` then lists them all, for the workers.
    """

    kind: Literal["summary", "qa", "verify", "complete", "aggregate", "trace", "write", "rerank"]
    query: str | None = None
    words: int | None = None
    place: Place | None = None
    choices: tuple[str, ...] = ()
    retrieve: int | None = None
    rounds: int | None = None
    shots: tuple[Shot, ...] = ()
    batch: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A verbatim quote that notes refer to as ``[marker]``."""

    marker: str
    span: Span
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A statement of a structured memory.

    Attributes:
        markers: Of the quotes that prove it.
        confidence: The worker's, from 1 to 5.
        part: The part in which it was first found.
    """

    text: str
    markers: tuple[str, ...]
    confidence: int
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """A communication unit (CU, arXiv 2406.02818 section 3.1): what one worker hands to the next.

    ``text`` holds markers such as ``[kqz3]``; ``evidence`` has one entry for each marker that the text still uses,
    ``issued`` counts the markers given out so far, so that no marker ever means two things, and ``tokens`` is the size
    of the text as the provider counted it, or as estimated where it did not. Of structured notes (`coa.agents.memory`),
    ``facts``, ``questions`` and ``entities`` (name, what) are what the text was rendered from.
    """

    text: str = ""
    evidence: tuple[Evidence, ...] = ()
    issued: int = 0
    tokens: int = 0
    facts: tuple[Fact, ...] = ()
    questions: tuple[str, ...] = ()
    entities: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The text that one worker reads, with its place: part ``part`` (from 1) of ``parts``.

    ``document`` is the id of its document where there are several, ``speaker`` who is speaking where it begins in the
    middle of a turn; else they are empty.
    """

    text: str
    span: Span
    part: int
    parts: int
    document: str = ""
    speaker: str = ""
