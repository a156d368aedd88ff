"""`App`: the ASGI application. It stands alone under uvicorn, or is mounted in an application of yours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coa.config import Settings, default_run_dir
from coa.errors import CoaError
from coa.runtime.limiter import Limiter
from coa.serving.http.body import ClientGone, Message, Receive, Scope, Send, read_body
from coa.serving.http.chat import MODELS, chat_of
from coa.serving.http.errors import Failure, Refusal, failure_of, unexpected
from coa.serving.http.gate import Places, check_host, check_key, check_type
from coa.serving.http.replying import Runner, send_json
from coa.serving.http.wire import encoded, model, models

MB = 1024 * 1024
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask, how much and how many at once.

    Attributes:
        keys: Bearer keys, any of which opens; without one everybody may ask.
        hosts: Names that requests may be sent to; without one any.
        body_bytes: A request's body at most; also the bound of each file in it and of all text together.
        requests: Requests answered at once.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    body_bytes: int = 64 * MB
    requests: int = 8


class App:
    """Chat completions by the pipelines.

    Args:
        settings: Of every run.
        access: Who may ask, and how much.
        log: Told a line for each request that came to something.
    """

    def __init__(self, settings: Settings, access: Access | None = None, *, log: Log = lambda _: None) -> None:
        self._access = access or Access()
        self._places = Places(self._access.requests)
        self._log = log
        self._began = int(time.time())
        self._runner = Runner(
            settings=settings, limiter=Limiter(settings.concurrency), private=_private(settings), log=log
        )

    def stop(self) -> None:
        """End the runs at work: their clients are told."""
        self._runner.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; of other kinds of scopes nothing is served."""
        if scope["type"] != "http":
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        except ClientGone:
            pass
        except CoaError as error:
            self._log(f"{scope['path']}: {error.code}: {error.message}")
            await _fail(send, failure_of(error, self._runner.private))
        except Exception as error:  # The top of the server: one request that breaks does not end the others.
            self._log(f"{scope['path']}: unexpected {type(error).__name__}")
            if not begun:  # Of a reply that has begun the connection is cut, which no client takes for its end.
                await _fail(send, unexpected())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"].removeprefix(scope.get("root_path", "")), scope["method"]
        check_host(headers, self._access.hosts)
        if (method, path) == ("GET", "/health"):
            return await send_json(send, 200, encoded({"status": "ok"}))
        check_key(headers, self._access.keys)
        if (method, path) == ("POST", "/v1/chat/completions"):
            return await self._chat(headers, receive, send)
        if (method, path) == ("GET", "/v1/models"):
            return await send_json(send, 200, encoded(models(self._began)))
        name = path.removeprefix("/v1/models/")
        if method == "GET" and name in MODELS:
            return await send_json(send, 200, encoded(model(name, self._began)))
        hint = "There are GET /health, GET /v1/models and POST /v1/chat/completions."
        raise Refusal(404, "NotFound", f"nothing answers {method} here", hint=hint)

    async def _chat(self, headers: dict[str, str], receive: Receive, send: Send) -> None:
        check_type(headers)
        with self._places.taken():
            most = self._access.body_bytes
            data = await read_body(receive, headers, most)
            chat = await asyncio.to_thread(chat_of, data, most)
            del data
            await self._runner.reply(chat, receive, send)


async def _fail(send: Send, failure: Failure) -> None:
    await send_json(send, failure.status, encoded(failure.body), failure.headers)


def _private(settings: Settings) -> tuple[str, ...]:
    """Paths and the address that errors may name; the longest first, since one may hold another."""
    model = settings.model or ""
    named = (settings.prompts, settings.embedder, model.partition(":")[2] if model.startswith("scripted:") else None)
    host = (settings.base_url or "").partition("://")[2].partition("/")[0]
    folders = {str(settings.run_dir or default_run_dir()), str(Path.cwd()), str(Path.home())}
    found = {text for text in (settings.base_url, host, *named, *folders) if text and text not in ("/", ".", "minilm")}
    return tuple(sorted(found, key=len, reverse=True))
