"""One leaf: asked for, continued when short, trimmed when long, asked for again when it repeats, never a refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from coa.agents.replies import usable
from coa.errors import InvalidReply
from coa.retrieval.terms import word_count
from coa.sentences import sentence_spans
from coa.serving.base import Message, Reply, Request
from coa.writing.measure import COPIES_FAIL, REPEATS_FAIL, copied, cut_at_loop, repetition

Call = Callable[[Request], Awaitable[Reply]]
Render = Callable[[int, str, str], str]
"""Renders the prompt from words to ask for, what is written of the section so far, and what to avoid."""

SHORT, LONG, TRIM_TO = 0.8, 1.25, 1.05
FIXES = 2
TOKENS_A_WORD = 3
_ASK_AT_MOST, _ASK_AT_LEAST = 1200, 40


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


async def write_leaf(
    call: Call,
    render: Render,
    target: int,
    *,
    bias: float,
    title: str,
    before: Sequence[str],
    offline: dict[str, object],
) -> Draft:
    """Write about ``target`` words.

    Args:
        call: The run's door to the model.
        render: See `Render`.
        target: Words wanted.
        bias: Words that the model gives for each that is asked, as learned so far.
        title: Its heading, taken out where the model repeats it.
        before: Texts that must not be repeated.
        offline: Values for an engine that reads values instead of prompts.

    Raises:
        InvalidReply: refused or empty, twice.
    """
    asked = _asked(target, bias)
    text = _clean(await _said(call, render(asked, "", ""), asked, offline), title)
    ratio = word_count(text) / asked
    if problem := _repeats(text, before):
        text = _clean(await _said(call, render(asked, "", problem), asked, offline), title)
    warnings: tuple[str, ...] = ()
    if _repeats(text, before):
        text, warnings = cut_at_loop(text), ("it repeats itself or earlier text; what could be cut was cut",)
    for _ in range(FIXES):
        missing = target - word_count(text)
        if not text or missing <= (1 - SHORT) * target:
            break
        more = _asked(missing, bias)
        added = _clean(await _said(call, render(more, text, ""), more, offline), title)
        if _repeats(f"{text}\n\n{added}", before) or not added:
            break
        text = f"{text}\n\n{added}"
    return Draft(text=_trimmed(text, target), ratio=ratio, warnings=warnings)


def _asked(target: int, bias: float) -> int:
    return round(min(_ASK_AT_MOST, max(_ASK_AT_LEAST, target / bias)))


async def _said(call: Call, prompt: str, words: int, offline: dict[str, object]) -> str:
    """The text of one reply; a cut one up to its last whole sentence. A refusal is asked once more."""
    request = Request(
        messages=(Message(role="user", content=prompt),),
        role="writer",
        inputs={**offline, "words": words},
        max_tokens=max(256, TOKENS_A_WORD * words),
    )
    try:
        return _text(await call(request))
    except InvalidReply:
        return _text(await call(replace(request, sample=1)))


def _text(reply: Reply) -> str:
    if reply.finish != "length":
        return usable(reply)
    text = usable(replace(reply, finish="stop"))
    spans = list(sentence_spans(text))
    return text[: spans[-2][1]] if len(spans) > 1 else text


def _clean(text: str, title: str) -> str:
    """Without the headings that the model wrote: they are the program's."""
    lines = text.strip().splitlines()
    while lines and (lines[0].startswith("#") or lines[0].strip(" *#:").lower() == title.lower()):
        lines = lines[1:]
    return "\n".join(line for line in lines if not line.startswith("#")).strip()


def _repeats(text: str, before: Sequence[str]) -> str:
    """What is wrong, in words for the model; empty when nothing is."""
    if repetition(text) > REPEATS_FAIL:
        return "the same phrases again and again"
    if copied(text, before) > COPIES_FAIL:
        return "sentences of earlier sections"
    return ""


def _trimmed(text: str, target: int) -> str:
    """Without the last sentences where it is too long."""
    if word_count(text) <= LONG * target:
        return text
    kept = 0
    for _, end in sentence_spans(text):
        if kept and word_count(text[:end]) > TRIM_TO * target:
            break
        kept = end
    return text[:kept]
