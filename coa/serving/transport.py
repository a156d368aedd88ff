"""Requests over the ``openai`` package, 2.x and 3.x: one attempt, a body of bounded length, the facts of a failure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from coa.serving.bodies import BrokenBody, Oversized, Refusal, bounded, check_head
from coa.serving.errors import Failure, failure_of
from coa.serving.streaming import Gathered, gather

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_RAW = {"headers": {"X-Stainless-Raw-Response": "stream"}}
_PLAIN = {"Accept-Encoding": "identity"}


def open_client(base_url: str, key: str, timeout: float) -> AsyncOpenAI:
    """Runs in a thread: the import takes most of a second, and loading the certificates is not free either."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    hooks: Any = {"response": [check_head]}
    http = DefaultAsyncHttpxClient(event_hooks=hooks, follow_redirects=False, timeout=timeout)
    return AsyncOpenAI(
        base_url=base_url, api_key=key, timeout=timeout, max_retries=0, http_client=http, default_headers=_PLAIN
    )


async def post(
    client: AsyncOpenAI, path: str, parameters: Mapping[str, Any], most: int
) -> tuple[bytes, Failure | None]:
    """The body of a response with a good status, or what went wrong.

    The body is taken raw: the SDK's own parsing lets pages of proxies and missing fields through without a word, and
    walking the typed parameters of ``chat.completions.create`` costs as much CPU as sending them.
    """
    return await _whole(client.post(path, cast_to=object, body=parameters, options=_RAW), most)  # pyright: ignore


async def get(client: AsyncOpenAI, path: str, most: int) -> tuple[bytes, Failure | None]:
    """As `post`, of a resource."""
    return await _whole(client.get(path, cast_to=object, options=_RAW), most)  # pyright: ignore


async def stream(
    client: AsyncOpenAI, path: str, parameters: Mapping[str, Any], most: int, hear: Callable[[str], None]
) -> tuple[Gathered, Failure | None]:
    """What a stream held, or what went wrong."""
    import openai

    gathered = Gathered(hear)
    try:
        sent: Any = client.post(path, cast_to=object, body={**parameters, "stream": True}, options=_RAW)  # pyright: ignore
        async with _blocks(sent, most) as blocks:
            await gather(blocks, gathered)
        return gathered, None
    except (openai.OpenAIError, Refusal, BrokenBody, Oversized) as error:
        return gathered, _failed(error)


async def _whole(sent: Any, most: int) -> tuple[bytes, Failure | None]:
    import openai

    try:
        async with _blocks(sent, most) as blocks:
            return b"".join([block async for block in blocks]), None
    except (openai.OpenAIError, Refusal, BrokenBody, Oversized) as error:
        return b"", _failed(error)


@asynccontextmanager
async def _blocks(sent: Any, most: int) -> AsyncGenerator[AsyncIterator[bytes]]:
    """The body of the response to a request, not one byte beyond its bound; then the connection is free or closed."""
    response: Any = (await sent).http_response
    try:
        yield bounded(response.aiter_bytes(), most)
    finally:
        await response.aclose()


def _failed(error: BaseException) -> Failure:
    import openai

    while not isinstance(error, Refusal | Oversized | openai.APITimeoutError) and error.__cause__ is not None:
        error = error.__cause__  # The innermost cause knows the most; openai 2.x wraps what it does not know.
    if isinstance(error, Refusal):
        return failure_of(error.status, error.body, error.headers)
    if isinstance(error, Oversized):
        return Failure(oversized=True, message=f"the server sends {error} for one reply")
    if isinstance(error, openai.APITimeoutError):
        return Failure(timed_out=True)
    return Failure(message=f"no whole response ({str(error) or type(error).__name__})")
