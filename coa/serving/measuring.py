"""What `Model`s have in common that measure another one instead of letting it speak."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from coa.serving.base import Reply
from coa.serving.openai import OpenAIModel
from coa.tokens import TokenCounter


class _Details(BaseModel):
    cached_tokens: int = 0


class Usage(BaseModel):
    """What the server counted."""

    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)] = 0
    prompt_tokens_details: _Details | None = None

    @property
    def cached_tokens(self) -> int:
        """Of the prompt, from the prefix cache."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else 0

    @classmethod
    def counted(cls, prompt: int, *, cached: int) -> Usage:
        """A prompt with one token behind it, of which ``cached`` tokens came from the prefix cache."""
        details = _Details(cached_tokens=cached)
        return cls(prompt_tokens=prompt, completion_tokens=1, prompt_tokens_details=details)


class Measuring:
    """A part of a `Model` over another: its window, its counter, its connections; replies that hold a measurement.

    As any reply, such a one is journalled, retried and counted by the runtime.

    Args:
        model: The one that is measured.
        what: Put behind its name.
    """

    def __init__(self, model: OpenAIModel, what: str) -> None:
        self._model = model
        self.name = f"{model.name}+{what}"

    @property
    def window(self) -> int:
        """Prompt and measured text together, in tokens."""
        return self._model.window

    @property
    def counter(self) -> TokenCounter:
        """The model's own counter."""
        return self._model.counter

    async def close(self) -> None:
        """Close the connections."""
        await self._model.close()

    def _reply(self, measured: Mapping[str, Any], usage: Usage) -> Reply:
        return Reply(
            text=json.dumps(measured),
            finish="stop",
            model=self.name,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
        )
