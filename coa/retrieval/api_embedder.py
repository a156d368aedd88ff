"""Embeddings of any server with OpenAI's ``/v1/embeddings``: checked vectors, one retry owner, nothing cut."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from coa.errors import MalformedReply, UsageError
from coa.events import ignore
from coa.retrieval.encoders import Encoder
from coa.runtime.retry import RetryPolicy
from coa.serving.base import Message, Request
from coa.serving.openai import NO_KEY, OPENAI_URL, OpenAIModel
from coa.split import split_text
from coa.tokens import EstimateCounter, TokenCounter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

_WINDOW = 8_192
_TEXTS_A_REQUEST, _TOKENS_A_REQUEST = 64, 65_536
_AT_ONCE = 4


class ApiEmbedder:
    """A model behind an OpenAI-compatible server.

    Texts beyond the window are read in parts whose vectors are averaged by their size: what a server does with a text
    that is too long, refuse or cut it, never comes up. Failed requests are sent again by the one retry policy.

    Args:
        model: As the server calls it.
        base_url: Ending in ``/v1``; OpenAI's own by default.
        name: As `coa.retrieval.embedders.resolve_embedder` takes it.
        api_key: Sent to this server alone; none by default.
        encoder: Window, dimensions and prefixes, where they are known.
        counter: Counts tokens; an estimate by default, with its margin taken off the window.
        policy: When to send again.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI_URL,
        name: str | None = None,
        api_key: str | None = None,
        encoder: Encoder | None = None,
        counter: TokenCounter | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._model, self._base_url, self._key = model, base_url, api_key or NO_KEY
        self.name = name or f"openai:{model}@{base_url}"
        self._encoder, self._counter = encoder, counter or EstimateCounter()
        self._policy = policy or RetryPolicy(retries=6, timeout=120.0)
        self._dimensions = encoder.dimensions if encoder else None

    @property
    def fingerprint(self) -> str:
        """The model's name, the length of its vectors and its prefixes: the same model may move to another server."""
        return f"api:{self._model}:{self.dimensions}" + (self._encoder.mark if self._encoder else "")

    @property
    def dimensions(self) -> int:
        """Length of a vector; a server is asked for one where nobody knows."""
        if self._dimensions is None:
            self.embed(["dimensions"])
        return self._dimensions or 0

    @property
    def window(self) -> int:
        """Tokens of a text that are sent at a time, the counter's margin taken off."""
        size = self._encoder.window if self._encoder else _WINDOW
        return int((size - 2) / (1 + self._counter.margin))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; an empty text gives zeros.

        Raises:
            ModelError: the server failed for good.
            MalformedReply: it sent vectors that cannot be: too few, of another length, with numbers that are none.
        """
        return self._embedded(texts, self._encoder.passage if self._encoder else "")

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, of queries."""
        return self._embedded(texts, self._encoder.query if self._encoder else "")

    def _embedded(self, texts: Sequence[str], prefix: str) -> NDArray[np.float32]:
        import numpy as np

        from coa.retrieval.longembed.pooling import unit_length

        parts: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for part in self._parts(text, prefix):
                parts.append(part)
                owners.append(owner)
        found = _to_the_end(self._all([prefix + part for part in parts])) if parts else []
        vectors = np.zeros((len(texts), self._dimensions or self.dimensions), dtype=np.float32)
        for owner, part, vector in zip(owners, parts, unit_length(np.array(found)) if parts else (), strict=True):
            vectors[owner] += vector * len(part)
        return unit_length(vectors)

    def _parts(self, text: str, prefix: str) -> list[str]:
        if not text.strip():
            return []
        room = self.window - (self._counter.count(prefix) if prefix else 0)
        if self._counter.count(text) <= room:
            return [text]
        return [text[start:end] for start, end, _ in split_text(text, room, self._counter)]

    async def _all(self, parts: Sequence[str]) -> list[list[float]]:
        model = OpenAIModel(
            self._model, base_url=self._base_url, api_key=self._key, window=self.window, timeout=self._policy.timeout
        )
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(batch: Sequence[str]) -> list[list[float]]:
            async with slots:
                return await self._policy.run(partial(self._send, model, batch), ignore)

        try:
            found = await asyncio.gather(*(one(batch) for batch in self._batches(parts)))
        finally:
            await model.close()
        return [vector for batch in found for vector in batch]

    def _batches(self, parts: Sequence[str]) -> list[list[str]]:
        batches: list[list[str]] = [[]]
        held = 0
        for part in parts:
            size = self._counter.count(part)
            if batches[-1] and (len(batches[-1]) == _TEXTS_A_REQUEST or held + size > _TOKENS_A_REQUEST):
                batches.append([])
                held = 0
            batches[-1].append(part)
            held += size
        return batches

    async def _send(self, model: OpenAIModel, batch: Sequence[str]) -> list[list[float]]:
        messages = tuple(Message(role="user", content=text) for text in batch)
        parameters = {"input": list(batch), "encoding_format": "float"}
        body = await model.post("/embeddings", parameters, Request(messages=messages, role="embedder"))
        return self._checked(body.get("data"), len(batch))

    def _checked(self, data: object, count: int) -> list[list[float]]:
        found: dict[int, list[float]] = {}
        for place, entry in enumerate(cast("list[object]", data) if isinstance(data, list) else []):
            given = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
            vector, index = _numbers(given.get("embedding")), given.get("index", place)
            if vector is not None and isinstance(index, int):
                found[index] = vector
        lengths = {len(vector) for vector in found.values()}
        if found.keys() != set(range(count)) or len(lengths) != 1:
            raise MalformedReply(f"{self.name}: the server sent {len(found)} usable vectors for {count} texts")
        (length,) = lengths
        if self._dimensions not in (None, length):
            raise MalformedReply(
                f"{self.name}: vectors of {length} dimensions, where {self._dimensions} are expected",
                hint="Check the model's name: another one answers at this address.",
            )
        self._dimensions = length
        return [found[place] for place in range(count)]


def api_embedder(base: str, where: str, encoder: Encoder | None) -> ApiEmbedder:
    """The embedder of a name's parts.

    Args:
        base: ``openai:MODEL``, or the encoder's name.
        where: The server's address; empty for the encoder's, or OpenAI's own.
        encoder: What is known of the model.
    """
    url = where or (encoder.url if encoder else "") or OPENAI_URL
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address of a server", hint="Give it as openai:MODEL@https://HOST/v1.")
    model = encoder.model if encoder else base.removeprefix("openai:")
    if not model:
        raise UsageError("which model?", hint="Give it as openai:MODEL@https://HOST/v1.")
    official = urlsplit(url).hostname == urlsplit(OPENAI_URL).hostname
    own = encoder is not None and url == encoder.url
    # A key goes only to the server it was made for.
    key = os.environ.get(encoder.key) if encoder and own else os.environ.get("OPENAI_API_KEY") if official else None
    name = f"{base}@{where}" if where else base
    return ApiEmbedder(model, base_url=url, name=name, api_key=key, encoder=encoder)


def _numbers(value: object) -> list[float] | None:
    if not isinstance(value, list) or not value:
        return None
    numbers = cast("list[object]", value)
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        return None
    return [float(cast("float", number)) for number in numbers]


def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in a thread of its own: a loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
