"""What it costs to write, by stage, before anything is sent."""

from __future__ import annotations

import math

from coa.config import Settings
from coa.forecast import PROMPT_TOKENS_PER_SECOND, REPLY_TOKENS_PER_SECOND, Plan, Stage
from coa.runtime.prices import Price, price_for
from coa.serving.base import is_offline
from coa.serving.resolve import resolve_model
from coa.writing.evidence import PASSAGES
from coa.writing.options import WriteOptions
from coa.writing.planner import chapter_count, shape

_PROMPT_TOKENS, _PASSAGE_TOKENS, _OUTLINE_TOKENS = 1_100, 150, 400
_TOKENS_A_WORD, _LINE_TOKENS = 1.5, 60
_CONTINUED = 0.35
"""Share of the sections that are expected to be continued once."""

_SEAM_PROMPT, _SEAM_REPLY = 900, 150
_CONFLICT_PROMPT, _CONFLICT_REPLY = 1_500, 300
_LEAVES_A_CONFLICT = 16


def forecast(settings: Settings, options: WriteOptions, sources: int = 0) -> Plan:
    """About what it costs to write, by stage; every third section is expected to be continued once."""
    model = resolve_model(settings)
    price = price_for(model.name, settings.prices)
    leaves, chapters = _leaves(options)
    stages = tuple(_priced(stage, price) for stage in _stages(options, leaves, chapters, sources))
    prompt, completion = sum(s.prompt_tokens for s in stages), sum(s.completion_tokens for s in stages)
    in_turn = math.ceil(leaves / max(1, min(options.parallel, chapters))) * (1 + _CONTINUED)
    offline = is_offline(model.name)
    return Plan(
        model=model.name,
        tokenizer=model.counter.label,
        window=settings.window or model.window,
        topology=options.method,
        order="ltr",
        documents=(),
        chunks=leaves,
        calls=sum(stage.calls for stage in stages),
        serial_calls=round(2 + in_turn + (2 if options.edits else 0)),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=None if price is None else price.cost(prompt, completion),
        seconds=None if offline else prompt / PROMPT_TOKENS_PER_SECOND + completion / REPLY_TOKENS_PER_SECOND,
        stages=stages,
    )


def _leaves(options: WriteOptions) -> tuple[int, int]:
    if options.outline is not None:
        return len(options.outline.leaves()), len(options.outline.chapters())
    leaves, chapters = shape(options.words)
    return leaves, (chapters if chapters < leaves else chapter_count(leaves))


def _stages(options: WriteOptions, leaves: int, chapters: int, sources: int) -> list[Stage]:
    more = round(leaves * _CONTINUED)
    prompt = _PROMPT_TOKENS + (PASSAGES * _PASSAGE_TOKENS if sources else 0)
    words = round(options.words * _TOKENS_A_WORD)
    asked = 0 if options.outline is not None else 1 + (chapters if chapters < leaves else 0)
    stages = [
        Stage(
            name="plan",
            calls=asked,
            prompt_tokens=asked * _OUTLINE_TOKENS,
            completion_tokens=(leaves + chapters) * _LINE_TOKENS if asked else 0,
        ),
        Stage(name="write", calls=leaves, prompt_tokens=leaves * prompt, completion_tokens=words),
        Stage(name="mend", calls=more, prompt_tokens=more * prompt, completion_tokens=0),
    ]
    if options.edits:
        seams, conflicts = chapters - 1, math.ceil(leaves / _LEAVES_A_CONFLICT)
        stages += [
            Stage(name="seams", calls=seams, prompt_tokens=seams * _SEAM_PROMPT, completion_tokens=seams * _SEAM_REPLY),
            Stage(
                name="conflicts",
                calls=conflicts,
                prompt_tokens=conflicts * _CONFLICT_PROMPT,
                completion_tokens=conflicts * _CONFLICT_REPLY,
            ),
        ]
    return stages


def _priced(stage: Stage, price: Price | None) -> Stage:
    cost = None if price is None else price.cost(stage.prompt_tokens, stage.completion_tokens)
    return Stage(
        name=stage.name,
        calls=stage.calls,
        prompt_tokens=stage.prompt_tokens,
        completion_tokens=stage.completion_tokens,
        cost_usd=cost,
    )
