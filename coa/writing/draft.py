"""One leaf: asked for, continued when short, trimmed when long, asked for again when something is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coa.agents.replies import usable
from coa.errors import InvalidReply, MalformedReply
from coa.retrieval.terms import word_count
from coa.sentences import sentence_spans
from coa.serving.base import Message, Reply, Request
from coa.verbatim import outside_code
from coa.writing.guard import LoopWatch
from coa.writing.language import language_of
from coa.writing.measure import copied, cut_at_loop, mentions, repetition, without_copies
from coa.writing.mending import mended
from coa.writing.residue import is_error, without_residue
from coa.writing.thresholds import COPIES_FAIL, REPEATS_FAIL

Call = Callable[[Request], Awaitable[Reply]]
Render = Callable[[int, str, str], str]
"""Renders the prompt from words to ask for, what is written of the section so far, and what to do otherwise."""

SHORT, SHORT_INSIDE = 0.93, 0.65
LONG, LONG_INSIDE, TRIM_TO = 1.1, 1.25, 1.05
"""Shares of the target; inside a chapter more may be missing or too much, since the sections to come make up for it."""

CHAPTER_SLACK = 0.04
"""Share of a chapter's words that may be missing or too many at its end: a document may then be off by as much."""

FIXES = 2
TOKENS_A_WORD = 3
_HEADING = re.compile(r"^#.*\n?", re.MULTILINE)
_ASK_AT_MOST, _ASK_AT_LEAST = 1200, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a leaf is to be.

    Attributes:
        title: Its heading, taken out where the model repeats it.
        target: Words wanted.
        bias: Words that the model gives for each that is asked, as learned so far.
        bounds: Words that are enough, and words that are not too many.
        before: Texts that must not be repeated.
        language: The code of the language that it must be in; None where any will do.
        must: Phrases that it must mention.
        never: Phrases that it must not mention.
        offline: Values for an engine that reads values instead of prompts.
        sample: The draw to begin with.
    """

    title: str
    target: int
    bounds: tuple[int, int]
    bias: float = 1.0
    before: Sequence[str] = ()
    language: str | None = None
    must: Sequence[str] = ()
    never: Sequence[str] = ()
    offline: Mapping[str, object] = field(default_factory=dict[str, object])
    sample: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A written leaf.

    Attributes:
        text: Whole sentences, without a heading.
        ratio: Words produced by the first call for each word asked: the model's bias.
        warnings: What could not be mended.
    """

    text: str
    ratio: float
    warnings: tuple[str, ...] = ()


def bounds_of(target: int, ends: int | None = None) -> tuple[int, int]:
    """How few and how many words are accepted for ``target``.

    Args:
        target: Words wanted.
        ends: Words of the chapter that the leaf ends; None where sections to come make up for what is missing.
    """
    if ends is None:
        return round(SHORT_INSIDE * target), round(LONG_INSIDE * target)
    slack = CHAPTER_SLACK * ends
    return round(min(SHORT * target, target - slack)), round(max(LONG * target, target + slack))


async def write_leaf(call: Call, render: Render, wanted: Wanted) -> Draft:
    """Write about ``wanted.target`` words.

    Raises:
        InvalidReply: refused, empty or in a wrong language, twice.
    """
    asked = _asked(wanted.target, wanted.bias)
    text, cut = await _said(call, render(asked, "", ""), asked, wanted)
    ratio = word_count(text) / asked
    if problem := _wrong(text, wanted):
        text, cut = await _said(call, render(asked, "", problem), asked, wanted)
    if wanted.language and (found := language_of(text)) not in (None, wanted.language):
        raise MalformedReply(f"the model wrote in {found!r}, not in {wanted.language!r}")
    text, warnings = _without_repeats(text, wanted)
    least = round(SHORT * wanted.target) if cut else wanted.bounds[0]
    text = await _continued(call, render, text, wanted, least)
    text, more = _ruled(mended(_trimmed(text, wanted)), wanted)
    return Draft(text=text, ratio=ratio, warnings=(*warnings, *more))


async def _continued(call: Call, render: Render, text: str, wanted: Wanted, least: int) -> str:
    """The text made longer while it has fewer words than that."""
    for _ in range(FIXES):
        there = word_count(text)
        if not text or there >= least:
            break
        more = _asked(wanted.target - there, wanted.bias)
        added, _ = await _said(call, render(more, text, ""), more, wanted)
        longer = f"{text}\n\n{added}"
        if not added or _repeats(longer, wanted.before) or _foreign(added, wanted):
            break
        text = longer
    return text


def _asked(target: int, bias: float) -> int:
    return round(min(_ASK_AT_MOST, max(_ASK_AT_LEAST, target / bias)))


def reply_tokens(words: int) -> int:
    """Tokens that a reply of so many words may have: twice what it should need, since this is no means of control."""
    return max(256, TOKENS_A_WORD * words)


async def _said(call: Call, prompt: str, words: int, wanted: Wanted) -> tuple[str, bool]:
    """The text of one reply, and whether it was cut off: then to its last whole sentence. A refusal is asked again."""
    request = Request(
        messages=(Message(role="user", content=prompt),),
        role="writer",
        inputs={**wanted.offline, "words": words},
        max_tokens=reply_tokens(words),
        sample=wanted.sample,
        watch=LoopWatch,
    )
    try:
        reply = await call(request)
        text = _text(reply)
    except InvalidReply:
        reply = await call(replace(request, sample=wanted.sample + 1))
        text = _text(reply)
    return _clean(text, wanted.title), reply.finish == "length"


def _text(reply: Reply) -> str:
    text = usable(reply if reply.finish != "length" else replace(reply, finish="stop"))
    if is_error(text):
        raise MalformedReply(f"the model {reply.model!r} answered with an error message: {text[:80]!r}")
    if reply.finish != "length":
        return text
    spans = list(sentence_spans(text))
    return text[: spans[-2][1]] if len(spans) > 1 else text


def _clean(text: str, title: str) -> str:
    """Without the headings that the model wrote: they are the program's."""
    lines = text.strip().splitlines()
    while lines and (lines[0].startswith("#") or lines[0].strip(" *#:").lower() == title.lower()):
        lines = lines[1:]
    return without_residue(outside_code("\n".join(lines), lambda piece: _HEADING.sub("", piece)))


def _wrong(text: str, wanted: Wanted) -> str:
    """What is wrong with a first draft, in words for the model; empty when nothing is."""
    if repeats := _repeats(text, wanted.before):
        return f"Do not repeat: {repeats}"
    if _foreign(text, wanted):
        return f"Write in this language: {wanted.language}"
    if missing := [phrase for phrase in wanted.must if not mentions(text, phrase)]:
        return f"It must mention: {'; '.join(missing)}"
    if strange := [phrase for phrase in wanted.never if mentions(text, phrase)]:
        return f"It must not mention: {'; '.join(strange)}"
    return ""


def _foreign(text: str, wanted: Wanted) -> bool:
    return wanted.language is not None and language_of(text) not in (None, wanted.language)


def _repeats(text: str, before: Sequence[str]) -> str:
    if repetition(text) > REPEATS_FAIL:
        return "the same phrases again and again"
    if copied(text, before) > COPIES_FAIL:
        return "sentences of earlier sections"
    return ""


def _without_repeats(text: str, wanted: Wanted) -> tuple[str, tuple[str, ...]]:
    if not _repeats(text, wanted.before):
        return text, ()
    cut = cut_at_loop(without_copies(text, wanted.before))
    if not cut:
        raise MalformedReply("the model only repeated earlier text")
    return cut, ("it repeats itself or earlier text; what could be cut was cut",)


def _ruled(text: str, wanted: Wanted) -> tuple[str, tuple[str, ...]]:
    """Without sentences that mention what must not be mentioned; what is missing is said."""
    warnings: list[str] = []
    for phrase in wanted.never:
        if mentions(text, phrase):
            text = _without(text, phrase)
            warnings.append(f"sentences that mention {phrase!r} were taken out")
    warnings += [f"it does not mention {phrase!r}" for phrase in wanted.must if not mentions(text, phrase)]
    return text, tuple(warnings)


def _without(text: str, phrase: str) -> str:
    kept: list[str] = []
    for paragraph in text.split("\n\n"):
        sentences = [paragraph[start:end] for start, end in sentence_spans(paragraph)]
        kept.append(" ".join(sentence for sentence in sentences if not mentions(sentence, phrase)))
    return "\n\n".join(paragraph for paragraph in kept if paragraph)


def _trimmed(text: str, wanted: Wanted) -> str:
    """Without the last sentences where it is too long."""
    if word_count(text) <= wanted.bounds[1]:
        return text
    kept = 0
    for _, end in sentence_spans(text):
        if kept and word_count(text[:end]) > TRIM_TO * wanted.target:
            break
        kept = end
    return text[:kept]
