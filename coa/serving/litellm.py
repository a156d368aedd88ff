"""`LiteLLMModel`: the providers that ``litellm`` knows, behind the same protocol and with the same outcomes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from coa.errors import MissingExtra, ModelError
from coa.serving.base import Reply, Request
from coa.serving.chat import messages_of, reply_of
from coa.serving.errors import Failure, failure_of, to_error
from coa.serving.scrub import Scrubber
from coa.tokens import TokenCounter, counter_for

FALLBACK_WINDOW = 8192

_OVERFLOW = "ContextWindowExceededError"
_FILTERED = "ContentPolicyViolationError"


class LiteLLMModel:
    """A model reached through litellm (``pip install 'chain-of-agents[litellm]'``).

    litellm's own retries are off and its replies are not streamed: it reports a stream that was cut as complete.

    Args:
        name: As litellm writes it: ``anthropic/claude-sonnet-4-5``, ``gemini/gemini-2.5-flash``.
        base_url: Address of the API, where it is not the provider's own.
        api_key: Default is the provider's own variable, such as ``ANTHROPIC_API_KEY``.
        window: Prompt and reply together, in tokens; default is what litellm knows of the model.
        tokenizer: A counter, or the path of the model's ``tokenizer.json``.
        timeout: Seconds for one call, whole.
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
    ) -> None:
        if find_spec("litellm") is None:
            raise MissingExtra(
                f"litellm:{name} needs the package 'litellm', which is not installed",
                hint="Run `pip install 'chain-of-agents[litellm]'`.",
            )
        self.name = f"litellm:{name}"
        self.timeout = timeout
        self.window_is_assumed = False
        self._model = name
        self._where = {"api_base": base_url, "api_key": api_key}
        self._tokenizer = tokenizer if isinstance(tokenizer, str) else None
        self._counter: TokenCounter | None = None if isinstance(tokenizer, str) else tokenizer
        self._window = window
        self._loading = asyncio.Lock()
        self._litellm: Any = None

    @property
    def window(self) -> int:
        """Prompt and reply together, in tokens; what litellm knows of the model is there after `learn_window`."""
        return self._window or FALLBACK_WINDOW

    @property
    def counter(self) -> TokenCounter:
        """The model's own tokenizer where it is at hand, otherwise an estimate."""
        if self._counter is None:
            self._counter = counter_for(self._model, tokenizer=self._tokenizer)
        return self._counter

    async def warm(self) -> None:
        """Load litellm, which takes seconds, in a thread."""
        await self._loaded()

    async def learn_window(self) -> None:
        """Look the window up in litellm's table, unless it is known; a model that is not there leaves it assumed."""
        if self._window is None:
            prices: dict[str, dict[str, Any]] = (await self._loaded()).model_cost
            known = prices.get(self._model) or prices.get(self._model.partition("/")[2]) or {}
            size = known.get("max_input_tokens")
            self._window = size if isinstance(size, int) and size > 0 else None
            self.window_is_assumed = self._window is None

    async def complete(self, request: Request) -> Reply:
        """Send the request once and return the reply, whatever its finish.

        Raises:
            ModelError: see `coa.errors`.
        """
        litellm = await self._loaded()
        openai = import_module("openai")  # litellm's errors are subclasses of its errors
        try:
            async with asyncio.timeout(self.timeout):
                response: Any = await litellm.acompletion(**self._parameters(request))
        except (TimeoutError, openai.APITimeoutError):
            failure = Failure(timed_out=True, message=f"no whole reply within {self.timeout:g} s")
            raise self._error(failure, request) from None
        except openai.OpenAIError as error:
            raise self._error(_failure(error), request) from None
        return reply_of(cast("Mapping[str, object]", response.model_dump()), model=self.name)

    async def close(self) -> None:
        """Nothing: litellm's connections are shared by the whole process, and closing them breaks other models."""

    def _parameters(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {
            "model": self._model,
            "messages": messages_of(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "timeout": self.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "stream": False,
            "drop_params": True,
            **self._where,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _error(self, failure: Failure, request: Request) -> ModelError:
        secrets = [self._where["api_key"] or "", *_keys(os.environ)]
        texts = [message.content for message in request.messages]
        return to_error(failure, model=self.name, scrubber=Scrubber(secrets, texts))

    async def _loaded(self) -> Any:
        async with self._loading:
            if self._litellm is None:
                self._litellm = await asyncio.to_thread(_load)
        return self._litellm


def _load() -> Any:
    """Without this variable litellm downloads a table of prices whenever it is imported."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    return litellm


def _failure(error: Any) -> Failure:
    """The facts in one of litellm's errors; the type says what the status and the text may not."""
    status = error.status_code if isinstance(getattr(error, "status_code", None), int) else None
    if type(error).__name__ == "APIConnectionError":
        return Failure(message=str(error))
    kind = {_OVERFLOW: "context_length_exceeded", _FILTERED: "content_filter"}.get(type(error).__name__)
    sent = getattr(error, "body", None)
    said: dict[str, object] = dict(cast("Mapping[str, object]", sent)) if isinstance(sent, Mapping) else {}
    body = {"message": str(error), **said, **({"code": kind} if kind else {})}
    return failure_of(status or 500, body, _headers(error))


def _headers(error: Any) -> dict[str, str]:
    """The response in the error is made up; the true headers, if litellm kept them, stand beside it."""
    found = [
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ]
    return {str(name).lower(): str(value) for headers in found if headers for name, value in headers.items()}


def _keys(env: Mapping[str, str]) -> list[str]:
    return [value for name, value in env.items() if name.endswith(("_API_KEY", "_TOKEN")) and len(value) >= 8]
