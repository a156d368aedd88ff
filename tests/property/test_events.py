"""Progress, whatever the model does: it never goes back, it ends at its end, and its sums are those of the account."""

from __future__ import annotations

import asyncio
import hashlib
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coa
from coa.documents import Document
from coa.errors import CoaError, ContextOverflow, ProviderUnavailable, RateLimited
from coa.events import CallDone, Event, RunFinished, RunStarted, StepDone
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel

TEXT = "".join(f"FACT-{n} stands here. {'The sea is grey and wide today. ' * 30}\n\n" for n in range(10))
BOOK = Document(id="book", path="book.txt", text=TEXT, sha256=hashlib.sha256(TEXT.encode()).hexdigest())


def model(seed: int, badness: float) -> ScriptedModel:
    """Says notes, or nothing, or half of something, or fails: the same for the same prompt and attempt."""
    asked: dict[str, int] = {}

    def reply(request: Request) -> Reply | CoaError:
        prompt = request.messages[-1].content
        asked[prompt] = asked.get(prompt, 0) + 1
        rng = random.Random(f"{seed} {asked[prompt]} {prompt}")
        size = {"prompt_tokens": rng.randint(1, 900), "completion_tokens": rng.randint(1, 90), "model": "m"}
        if rng.random() > badness:
            return Reply(text=f"Notes {rng.random()}.", finish="stop", **size)
        bad: list[Any] = [
            Reply(text="", finish="stop", **size),
            Reply(text="Half of", finish="length", **size),
            Reply(text="I'm sorry, I cannot help with that.", finish="stop", **size),
            RateLimited("busy", retry_after=0.0),
            ProviderUnavailable("down"),
            ContextOverflow("too long", limit=1000, actual=1100),
        ]
        return rng.choice(bad)

    return ScriptedModel(reply, window=1250)


async def heard(seed: int, badness: float, topology: str, concurrency: int) -> tuple[list[Event], coa.Answer | None]:
    events: list[Event] = []
    try:
        answer = await coa.aio.ask(
            BOOK,
            "Which facts?",
            model=model(seed, badness),
            topology=topology,
            concurrency=concurrency,
            retries=0 if badness else 8,
            journal=False,
            on_event=events.append,
        )
    except CoaError:
        return events, None
    return events, answer


@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), badness=st.sampled_from([0.0, 0.05, 0.3]), concurrency=st.sampled_from([1, 4]))
def test_progress_never_goes_back_and_adds_up(topology: str, seed: int, badness: float, concurrency: int) -> None:
    events, answer = asyncio.run(heard(seed, badness, topology, concurrency))
    (began,) = [event for event in events if isinstance(event, RunStarted)]
    assert events[0] == began
    steps = [event for event in events if isinstance(event, StepDone)]
    assert all(before.done < after.done for before, after in pairwise(steps))
    assert all(before.usage.calls <= after.usage.calls for before, after in pairwise(steps))
    assert all(step.done <= step.steps for step in steps)
    if answer is None:
        return
    assert isinstance(events[-1], RunFinished) and events[-1].answer == answer
    assert steps[-1].done == steps[-1].steps
    calls = [event for event in events if isinstance(event, CallDone)]
    assert len(calls) == answer.usage.calls
    assert sum(call.prompt_tokens for call in calls) == answer.usage.prompt_tokens
    assert sum(call.completion_tokens for call in calls) == answer.usage.completion_tokens
    read, failed = answer.coverage.read, answer.coverage.failed
    assert (answer.status == "complete") == (not failed)
    assert read + len({unread.span for unread in failed}) >= answer.coverage.chunks
