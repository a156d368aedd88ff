"""A written text traced: each sentence that cites, to the passages in the prompt that its section was written from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from coa.agents.fence import fence_for
from coa.agents.quotes import marker_pattern
from coa.attribution.replay import Played, Recorder, Step, step_of
from coa.attribution.through import Chain
from coa.config import Settings
from coa.errors import UsageError
from coa.events import ignore
from coa.retrieval.terms import word_count
from coa.runtime.manifest import Manifest, check_unchanged
from coa.runtime.runs import Runs
from coa.sentences import sentence_spans
from coa.serving.base import Model
from coa.sources import load_sources
from coa.verbatim import stretches

Claim = tuple[int, int, tuple[int, int] | None]
"""Where a sentence stands in the text shown, and the step and sentence that wrote it; None where none did."""

_NUMBER = re.compile(r"[ \t]*\[\d+\]")
_WORD = re.compile(r"\w+")
_ALIKE = 0.5


async def played_text(manifest: Manifest, runs: Runs, settings: Settings, model: Model) -> Played:
    """Play the writing of a text again: the journal answers, nothing is sent, nothing is written.

    Raises:
        InputChanged: a source is no longer what it was.
        UsageError: it was written without sources, or by a method or a retriever that leaves nothing to play.
    """
    from coa.writing.folder import Folder
    from coa.writing.job import Job

    folder = Folder(runs.folder(manifest), keeps=False)
    request = folder.request()
    _check(manifest, request.found, request.options.method)
    documents, _ = await load_sources(manifest.sources, lambda: runs.stdin(manifest))
    check_unchanged(manifest, documents)
    with runs.journal(manifest) as journal:
        recorder = Recorder(manifest, journal)
        job = Job(
            brief=request.brief,
            options=request.options,
            documents=tuple(documents),
            model=model,
            window=manifest.window,
            settings=settings,
            caller=recorder,
            emit=ignore,
            run_id=manifest.run_id,
            folder=folder,
        )
        await job.run()
    turns = [step_of(sent, reply) for sent, reply in recorder.said if sent.role == "writer"]
    steps = tuple(step for step in turns if step is not None)
    return Played(task=manifest.task, documents=tuple(documents), fence=fence_for(documents), steps=steps)


def _check(manifest: Manifest, found: bool, method: str) -> None:
    run = f"run {manifest.run_id!r}"
    if not manifest.sources:
        raise UsageError(f"{run} was written without sources", hint="Write it with --source to trace it.")
    if found or method == "agentwrite":
        why = "a retriever that was not kept" if found else "the published method, which reads no sources"
        raise UsageError(f"{run} was written with {why}", hint="Trace it with --direct.")


def matched(text: str, run: Played, chain: Chain) -> tuple[str, tuple[Claim, ...]]:
    """The text without its numbers, and its citing sentences with the step and the sentence that wrote each."""
    shown, places = _without_numbers(text)
    known = list(_sentences(run.steps, chain, run.fence.tag))
    exact: dict[str, list[tuple[int, int]]] = {}
    for words, where in known:
        exact.setdefault(words, []).append(where)
    claims: list[Claim] = []
    for start, end in sentence_spans(shown):
        if any(start < place <= end for place in places):
            words = _bare(shown[start:end])
            same = exact.get(words)
            claims.append((start, end, (same.pop(0) if len(same) > 1 else same[0]) if same else _nearest(words, known)))
    return shown, tuple(claims)


def _without_numbers(text: str) -> tuple[str, list[int]]:
    """The text without citation numbers, and where they stood in what is left."""
    shown = ""
    places: list[int] = []
    for piece, code in stretches(text):
        at = 0
        for match in () if code else _NUMBER.finditer(piece):
            shown += piece[at : match.start()]
            places.append(len(shown))
            at = match.end()
        shown += piece[at:]
    return shown, places


def _sentences(steps: Sequence[Step], chain: Chain, tag: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The bare words of every sentence of the replies, with step and number."""
    marks = marker_pattern(tag)
    for place, step in enumerate(steps):
        for number, (start, end) in enumerate(chain.claims_at(place)):
            yield _bare(marks.sub("", step.text[start:end])), (place, number)


def _nearest(words: str, known: Sequence[tuple[str, tuple[int, int]]]) -> tuple[int, int] | None:
    """The sentence that shares most of the words: an edit may have changed some; None where none shares half."""
    own = set(words.split())
    shares = [(len(own & (other := set(said.split()))) / max(1, len(own | other)), where) for said, where in known]
    best = max(shares, key=lambda share: share[0], default=None)
    return best[1] if best is not None and best[0] >= _ALIKE and word_count(words) else None


def _bare(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))
