"""The only door to a language model: `Model`, with what goes in (`Request`) and what comes out (`Reply`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from coa.tokens import TokenCounter

CHAT_OVERHEAD = 8
"""Tokens a chat template adds to each message, at most, in the templates of the common model families."""

FinishReason = Literal["stop", "length", "filter", "refusal", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a model.

    Attributes:
        messages: The rendered prompt.
        role: Which agent speaks (``worker``, ``manager``, ...).
        inputs: The values that the prompt was rendered from. A model that reads values instead of prose (the offline
            engine) works on these; they do not enter the journal's key, since the messages already hold them.
        max_tokens: Upper bound of the reply, in tokens.
        temperature: 0 for the most likely text.
        sample: Index of the draw: the same prompt drawn n times is n calls.
        seed: Passed on to servers that support it; independent of retries.
        watch: Makes a listener for one reply: told each piece of the text, it says where the text shall end, in
            characters, or None. Of models that stream, such a reply is cut there and finishes with ``length``.
    """

    messages: tuple[Message, ...]
    role: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, compare=False)
    max_tokens: int = 1024
    temperature: float = 0.0
    sample: int = 0
    seed: int | None = None
    watch: Callable[[], Callable[[str], int | None]] | None = field(default=None, hash=False, compare=False)


def content_tokens(messages: Iterable[Message], counter: TokenCounter) -> int:
    """Tokens of what is said in a prompt, without what the chat's form adds."""
    return sum(counter.count(message.content) for message in messages)


def prompt_tokens(messages: Sequence[Message], counter: TokenCounter) -> int:
    """Tokens of a rendered prompt, chat template included."""
    return content_tokens(messages, counter) + CHAT_OVERHEAD * len(messages)


def is_offline(name: str) -> bool:
    """Whether a model's name is that of the extractive engine, which is no language model."""
    return name.startswith("offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said, and how it stopped. Tokens as the provider reports them.

    ``finish == "stop"`` is the only finish that a caller may take for a whole reply.
    """

    text: str
    finish: FinishReason
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@runtime_checkable
class Model(Protocol):
    """Anything that turns a request into a reply.

    Implementations send each request once: retries, limits and the journal are the runtime's. Failures are raised as
    `coa.errors.ModelError` subclasses. One instance serves one event loop.

    Attributes:
        name: As a user would write it, such as ``openai:gpt-5-mini``; part of the journal's key.
        window: Prompt and reply together, in tokens.
        counter: Counts tokens as this model does, or estimates them, and says which.
    """

    @property
    def name(self) -> str:
        """As a user would write it."""
        ...

    @property
    def window(self) -> int:
        """Tokens of prompt and reply together."""
        ...

    @property
    def counter(self) -> TokenCounter:
        """Counts tokens as this model does, or says how it estimates them."""
        ...

    async def complete(self, request: Request) -> Reply:
        """Send the request once.

        Raises:
            ModelError: one of its subclasses, for every failure.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A model that can also hand over a reply while it is being written."""

    async def stream(self, request: Request, hear: Callable[[str], None]) -> Reply:
        """Send the request once, call ``hear`` with each piece of the text, and return the whole reply.

        Raises:
            ModelError: one of its subclasses, for every failure; a stream that stops in the middle is one.
        """
        ...
