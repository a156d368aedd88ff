"""Side by side: all results, or the first failure with the others ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from coa.errors import CoaError

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines side by side and return their results in order.

    Raises:
        CoaError: the first one that any of them raised; the others are cancelled and waited for.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except* CoaError as failures:
        first = _leaf(failures)
    else:
        return [task.result() for task in tasks]
    raise first


def _leaf(group: BaseExceptionGroup[CoaError]) -> CoaError:
    error = group.exceptions[0]
    return _leaf(error) if isinstance(error, BaseExceptionGroup) else error
