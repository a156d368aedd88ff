"""The plain functions: each runs its async twin from `coa.aio` to the end, and takes what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from coa import aio

P = ParamSpec("P")
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also where a loop runs already (a notebook): then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _blocking(twin: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The twin's name, signature and documentation stay; its module does not, so that the function can be pickled."""

    @wraps(twin, assigned=("__name__", "__qualname__", "__doc__"))
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(twin(*args, **kwargs))

    return call


aggregate = _blocking(aio.aggregate)
ask = _blocking(aio.ask)
complete = _blocking(aio.complete)
index = _blocking(aio.index)
load = _blocking(aio.load)
plan = _blocking(aio.plan)
resume = _blocking(aio.resume)
summarize = _blocking(aio.summarize)
trace = _blocking(aio.trace)
trace_run = _blocking(aio.trace_run)
verify = _blocking(aio.verify)
verify_pair = _blocking(aio.verify_pair)
write = _blocking(aio.write)
