"""What traceback scores on a real vLLM: in batches and in prefix order, against one by one and against transformers."""

from __future__ import annotations

import random

import numpy as np
import pytest

import coa
from coa.agents.fence import Fence
from coa.attribution.base import Segment
from coa.attribution.ledger import Ledger
from coa.attribution.local import LocalScorer
from coa.attribution.prompting import PlainPrompting
from coa.attribution.scorers import EchoScorer
from coa.attribution.weights import LocalModel
from coa.prompts import Prompts
from coa.serving.chat_echo import ChatEchoModel
from coa.serving.openai import OpenAIModel
from coa.serving.resolve import resolve_model
from coa.serving.vllm.launch import Running
from coa.testing.reader import folder
from coa.types import Span

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]

TEXTS = [f"On day {i} the keeper wrote that the lamp burnt {i + 3} pints of oil and no ship passed." for i in range(8)]
ANSWER = "The lamp burnt seven pints. No ship passed."


async def test_batches_in_prefix_order_give_what_scoring_one_by_one_gives(vllm_server: Running):
    segments = [Segment(span=Span(doc="d", start=0, end=0), text=text, tokens=20) for text in TEXTS]
    fence = Fence(token="0" * 16, tag="zzz")
    prompting = PlainPrompting(segments=segments, question="What burnt?", fence=fence, prompts=Prompts())
    rng = random.Random(0)
    coalitions = [frozenset(i for i in range(8) if rng.random() < 0.5) for _ in range(20)]
    coalitions += [frozenset(), frozenset(range(8))]
    settings = coa.Settings(model="vllm:reader", base_url=f"{vllm_server.found.url}/v1")
    model = resolve_model(settings)
    assert isinstance(model, OpenAIModel)
    try:
        echo = ChatEchoModel(model)
        ledger = Ledger(EchoScorer(echo.complete, prompting, ANSWER, label=echo.name), [20] * 8)
        batched = await ledger.logprobs([*coalitions, *coalitions])
        alone = EchoScorer(echo.complete, prompting, ANSWER, label=echo.name)
        naive = [(await alone.logprobs([coalition]))[0] for coalition in coalitions]
    finally:
        await model.close()
    assert ledger.usage.calls == len(set(coalitions)) and ledger.usage.rounds == 1
    assert alone.offsets[0] == 0 and alone.offsets[-1] < len(ANSWER)
    for row, again, one in zip(batched, batched[len(coalitions) :], naive, strict=False):
        assert row is again and np.abs(row - one).max() < 1e-4
    here = await LocalScorer(LocalModel(folder()), prompting, ANSWER).logprobs(coalitions)
    assert max(np.abs(one - other).max() for one, other in zip(naive, here, strict=True)) < 1e-3
    assert len({round(float(row.sum()), 3) for row in naive}) > 10, "the passages change the score"
