"""The conformance suite finds each way to break the protocol: one broken model for each check."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coa.errors import ProviderUnavailable, RateLimited
from coa.serving.base import Model, Reply, Request
from coa.testing import ScriptedModel, check_failure, check_model
from coa.testing.conformance import sample_request


class Good(ScriptedModel):
    def __init__(self) -> None:
        super().__init__(lambda _: "fine")


class Nameless(Good):
    def __init__(self) -> None:
        super().__init__()
        self.name = " "


class Windowless(Good):
    def __init__(self) -> None:
        super().__init__()
        self.window = 0


class Renamed(Good):
    async def complete(self, request: Request) -> Reply:
        self.name += "!"
        return await super().complete(request)


class SaysText(Good):
    async def complete(self, request: Request) -> Any:
        return "no Reply"


class BadFinish(Good):
    async def complete(self, request: Request) -> Any:
        return Reply(text="", finish="done", model="m")  # type: ignore[arg-type]


class Negative(Good):
    async def complete(self, request: Request) -> Reply:
        return Reply(text="", finish="stop", model="m", prompt_tokens=-1)


class Choosy(Good):
    async def complete(self, request: Request) -> Reply:
        request.messages[-1].content.encode("utf-8")
        return await super().complete(request)


class OneAtATime(Good):
    busy = False

    async def complete(self, request: Request) -> Reply:
        if self.busy:
            return None  # type: ignore[return-value]
        self.busy = True
        await asyncio.sleep(0.001)
        self.busy = False
        return await super().complete(request)


class SwallowsCancel(Good):
    async def complete(self, request: Request) -> Reply:
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            raise ProviderUnavailable("cancelled, they say") from None
        return await super().complete(request)


class LeavesTask(Good):
    async def complete(self, request: Request) -> Reply:
        self.task = asyncio.ensure_future(asyncio.sleep(3))
        return await super().complete(request)


class ClosesOnce(Good):
    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


class CountsNothing(Good):
    def __init__(self) -> None:
        super().__init__()
        self.counter = _Nothing()


class _Nothing:
    label = "nothing"
    margin = 0.0

    def count(self, text: str) -> int:
        return 0


async def test_a_good_model_passes() -> None:
    await check_model(Good)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (Nameless, "name must be a text"),
        (Windowless, "window"),
        (CountsNothing, "more tokens"),
        (Renamed, "name changed"),
        (SaysText, "no Reply"),
        (BadFinish, "no finish"),
        (Negative, "counts of tokens"),
        (Choosy, "UnicodeEncodeError"),
        (OneAtATime, "None is no Reply"),
        (SwallowsCancel, "cancelled call raised"),
        (LeavesTask, "tasks go on"),
    ],
)
async def test_each_broken_model_is_found(broken: type[Good], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        await check_model(broken)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_closing_twice_must_work() -> None:
    with pytest.raises(RuntimeError, match="closed twice"):
        await check_model(ClosesOnce)


async def test_something_that_is_no_model() -> None:
    class Half:
        name = "half"
        window = 5

        async def close(self) -> None: ...

    half: Any = Half()
    with pytest.raises(AssertionError, match="lacks a member"):
        await check_model(lambda: half)


async def test_failures() -> None:
    error = await check_failure(lambda: ScriptedModel([RateLimited("busy")]), RateLimited)
    assert error.retryable
    for model, problem in (
        (ScriptedModel([RateLimited("busy")]), "raised RateLimited, not ProviderUnavailable"),
        (ScriptedModel(["fine"]), "instead of raising"),
        (_raising(), "no ModelError"),
    ):
        with pytest.raises(AssertionError, match=problem):
            await check_failure(lambda: model, ProviderUnavailable, request=sample_request())  # noqa: B023


def _raising() -> Model:
    def fail(_: Request) -> str:
        raise KeyError("oops")

    return ScriptedModel(fail)
