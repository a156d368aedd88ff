"""`OpenAIModel`: any server that speaks OpenAI's chat completions, through the ``openai`` package (2.x and 3.x)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from coa.errors import AuthenticationFailed, ModelError, UsageError
from coa.serving import transport
from coa.serving.base import Reply, Request
from coa.serving.bodies import PAGE_BYTES, reply_bytes
from coa.serving.chat import body_of, reply_of
from coa.serving.dialect import Dialect, dialect_for, known_window
from coa.serving.errors import Failure, failure_of, to_error
from coa.serving.scrub import Scrubber
from coa.tokens import TokenCounter, counter_for

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Answered = TypeVar("Answered")

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent to servers that need no key: the SDK insists on one."""
FALLBACK_WINDOW = 8192
"""What is assumed of a model that nobody says anything about: small enough for nearly every server."""

_OPENAI_HOST = "api.openai.com"
_WINDOW_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")
_CHAT = "/chat/completions"
_LIST_SECONDS = 5.0


class OpenAIModel:
    """A model behind an OpenAI-compatible server. Each request is sent once, whole, over one pool of connections.

    Only a refusal of a parameter by name (``max_tokens`` or ``max_completion_tokens``, ``temperature``, ...) makes it
    send again, spelled otherwise, and it remembers the spelling.

    Args:
        name: As the server calls the model.
        base_url: Address of the API, ending in ``/v1``; OpenAI's own by default.
        api_key: Default is ``OPENAI_API_KEY``, needed for OpenAI's own address only.
        window: Prompt and reply together, in tokens; default is what is known of the model, or what the server says.
        tokenizer: A counter, or the path of the model's ``tokenizer.json``.
        timeout: Seconds for one call, whole, however slowly its bytes trickle in.
        provider: What stands before the name in `name`.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        window: int | None = None,
        tokenizer: TokenCounter | str | None = None,
        timeout: float = 600.0,
        provider: str = "openai",
    ) -> None:
        self.base_url = _checked(base_url or OPENAI_URL)
        self.name = f"{provider}:{name}"
        self.timeout = timeout
        self.window_is_assumed = False
        """Whether `window` is a mere guess, because neither the user nor the server said how long it is."""
        self._model = name
        self._api_key = api_key
        self._tokenizer = tokenizer if isinstance(tokenizer, str) else None
        self._counter: TokenCounter | None = None if isinstance(tokenizer, str) else tokenizer
        official = urlsplit(self.base_url).hostname == _OPENAI_HOST
        self._key_needed = official
        self._dialect: Dialect = dialect_for(name, official=official)
        self._window = window or (known_window(name) if official else None)
        self._connection: _Connection | None = None

    @property
    def window(self) -> int:
        """Prompt and reply together, in tokens; see `learn_window` for servers that have to be asked."""
        return self._window or FALLBACK_WINDOW

    @property
    def counter(self) -> TokenCounter:
        """The model's own tokenizer where it is at hand, otherwise an estimate."""
        if self._counter is None:
            self._counter = counter_for(self._model, tokenizer=self._tokenizer)
        return self._counter

    async def warm(self) -> None:
        """Load the client in a thread, so that the first call does not hold up the event loop.

        Raises:
            AuthenticationFailed: no key, and the address is OpenAI's own.
        """
        async with self._open():
            pass

    async def learn_window(self) -> None:
        """Ask the server for the window, unless it is known; a server that does not say leaves it assumed."""
        if self._window is None:
            async with self._open() as client:
                self._window = await _window_of(client, self._model)
            self.window_is_assumed = self._window is None

    async def complete(self, request: Request) -> Reply:
        """Send the request once and return the reply, whatever its finish.

        Raises:
            ModelError: see `coa.errors`.
        """
        async with self._sending(request) as client:
            content = await self._agreed(
                request,
                lambda dialect: transport.post(
                    client, _CHAT, dialect.parameters(self._model, request), reply_bytes(request)
                ),
            )
        return self._reply(content, request)

    async def stream(self, request: Request, hear: Callable[[str], None]) -> Reply:
        """Send the request once and hand over the text as it comes; return the whole reply, whatever its finish.

        Raises:
            ModelError: see `coa.errors`; `ProviderUnavailable` for a stream that ended before the reply did.
        """
        async with self._sending(request) as client:
            gathered = await self._agreed(
                request,
                lambda dialect: transport.stream(
                    client, _CHAT, dialect.streamed(self._model, request), reply_bytes(request), hear
                ),
            )
        if gathered.error is not None:
            raise self._error(_hidden(gathered.error), request)
        return gathered.reply(model=self.name)

    async def post(self, path: str, parameters: Mapping[str, Any], request: Request) -> Mapping[str, object]:
        """Send to another path of the API, once, and return the body.

        Args:
            path: Such as ``/completions``.
            parameters: The body, without ``model``.
            request: What it is sent for: its text is kept out of error messages.

        Raises:
            ModelError: see `coa.errors`.
        """
        async with self._sending(request) as client:
            content, failure = await transport.post(
                client, path, {"model": self._model, **parameters}, reply_bytes(request)
            )
        if failure is not None:
            raise self._error(failure, request)
        return body_of(content, model=self.name)

    async def close(self) -> None:
        """Close the connections; the next call would open them anew. Calls in flight, of other runs, end first."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            connection.left = True
            await connection.close_if_done()

    async def _agreed(
        self, request: Request, send: Callable[[Dialect], Awaitable[tuple[Answered, Failure | None]]]
    ) -> Answered:
        """Send, and spell it otherwise when the server does not take a parameter."""
        tried: list[Dialect] = []
        while True:
            dialect = self._dialect
            tried.append(dialect)
            answered, failure = await send(dialect)
            if failure is None:
                return answered
            other = dialect.after(failure)
            if other is None or other in tried:
                raise self._error(failure, request)
            self._dialect = other

    @asynccontextmanager
    async def _sending(self, request: Request) -> AsyncGenerator[AsyncOpenAI]:
        """The client, for one call in its time."""
        try:
            async with self._open() as client, asyncio.timeout(self.timeout):
                yield client
        except TimeoutError:
            failure = Failure(timed_out=True, message=f"no whole reply within {self.timeout:g} s")
            raise self._error(failure, request) from None

    def _reply(self, content: bytes, request: Request) -> Reply:
        body = body_of(content, model=self.name)
        if "choices" not in body and body.get("error"):
            raise self._error(_hidden(body), request)
        return reply_of(body, model=self.name)

    def _error(self, failure: Failure, request: Request) -> ModelError:
        texts = [message.content for message in request.messages]
        host = urlsplit(self.base_url).netloc.rpartition("@")[2]
        return to_error(failure, model=self.name, scrubber=Scrubber((self._key(),), texts), host=host)

    def _key(self) -> str:
        return (self._api_key or os.environ.get("OPENAI_API_KEY") or ("" if self._key_needed else NO_KEY)).strip()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[AsyncOpenAI]:
        """The client; it stays open for as long as the block lasts, whoever closes the model meanwhile."""
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            self._connection = _Connection(loop=loop, lock=asyncio.Lock())
        connection = self._connection
        connection.calls += 1
        try:
            async with connection.lock:
                if connection.client is None:
                    key = _usable_key(self._key(), self.name)
                    connection.client = await asyncio.to_thread(transport.open_client, self.base_url, key, self.timeout)
            yield connection.client
        finally:
            connection.calls -= 1
            await connection.close_if_done()


@dataclass(slots=True, kw_only=True)
class _Connection:
    """A client belongs to one event loop: shared between two, it deadlocks.

    Attributes:
        calls: In flight.
        left: Whether the last of them closes it, since the model has been closed.
    """

    loop: asyncio.AbstractEventLoop
    lock: asyncio.Lock
    client: AsyncOpenAI | None = None
    calls: int = 0
    left: bool = False

    async def close_if_done(self) -> None:
        """Close the client, once the model has been closed and nobody uses it any more."""
        if self.left and not self.calls and self.client is not None:
            client, self.client = self.client, None
            await client.close()


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{base_url!r} is no address of a server", hint="Give --base-url as http://HOST:PORT/v1.")
    return base_url


def _usable_key(key: str, model: str) -> str:
    if not key:
        raise AuthenticationFailed(
            f"{model}: there is no key for {_OPENAI_HOST}",
            hint="Set OPENAI_API_KEY, or give --base-url for a server of your own.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise AuthenticationFailed(f"{model}: the key holds characters that cannot be sent")
    return key


def _hidden(body: Mapping[str, object]) -> Failure:
    """An error sent with status 200, as some gateways do; the true status stands in its code."""
    failure = failure_of(502, body, {})
    code = str(failure.error.get("code"))
    status = int(code) if code.isdigit() and 400 <= int(code) <= 599 else 502
    return failure_of(status, body, {})


async def _window_of(client: AsyncOpenAI, name: str) -> int | None:
    """What the server's list of models says about the window; None where it says nothing."""
    try:
        async with asyncio.timeout(_LIST_SECONDS):
            content, _ = await transport.get(client, "/models", PAGE_BYTES)
        listed: Any = json.loads(content)
    except (TimeoutError, ValueError, RecursionError):
        return None
    data: Any = cast("dict[str, Any]", listed).get("data") if isinstance(listed, dict) else None
    entries = cast("list[Any]", data) if isinstance(data, list) else []
    objects = [cast("dict[str, object]", entry) for entry in entries if isinstance(entry, dict)]
    found = [entry.get(field) for entry in objects if entry.get("id") == name for field in _WINDOW_NAMES]
    return next((value for value in found if isinstance(value, int) and value > 0), None)
