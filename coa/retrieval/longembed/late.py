"""Late chunking (arXiv 2409.04701): the whole text is encoded, then the states of each passage are averaged.

It needs a model that was trained on long texts: MiniLM, trained on 128 tokens, finds less with it than with plain
passages (docs/long-embeddings.md), so that a model with a short window is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from coa.errors import UsageError
from coa.retrieval.longembed import positions as at
from coa.retrieval.longembed.methods import LATE, LongEmbedder
from coa.retrieval.longembed.model import LongModel
from coa.retrieval.longembed.pooling import unit_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coa.retrieval.embedders import SentenceTransformerEmbedder

LEAST_TRAINED = 2_048
OVERLAP = 512


class LateEmbedder:
    """Passages in the light of their whole document.

    Args:
        base: A model that averages its states and was trained on long texts.
        least: Refuse models with a shorter window.
        overlap: Tokens that windows share where a document is longer than the model's; at most a quarter of it.
    """

    def __init__(
        self, base: SentenceTransformerEmbedder, *, least: int = LEAST_TRAINED, overlap: int = OVERLAP
    ) -> None:
        self._base, self._least, self._overlap = base, least, overlap

    @property
    def name(self) -> str:
        """As `coa.retrieval.embedders.resolve_embedder` takes it."""
        return f"{self._base.name}+{LATE}"

    @property
    def fingerprint(self) -> str:
        """The model's, with the method."""
        return f"{self._base.fingerprint}+{LATE}:{self.model.native}"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._base.dimensions

    @property
    def window(self) -> int:
        """Tokens that it reads at a time."""
        return self.model.room

    @cached_property
    def model(self) -> LongModel:
        """The model, opened.

        Raises:
            UsageError: its window is short: it was not trained on long texts.
        """
        opened = LongModel(self._base.loaded)
        if opened.native < self._least:
            raise UsageError(
                f"late chunking hurts {self._base.name!r}, which reads {opened.native} tokens",
                hint=f"Take a model that reads {self._least} tokens or more, or embed plain passages.",
            )
        return opened

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts that stand alone; what is longer than the window is read in parallel windows."""
        _ = self.model
        return LongEmbedder(self._base, "pcw").embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of queries, with the model's prefix for them."""
        return self.embed(self._base.as_queries(texts))

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Vectors of stretches of a text, shape ``(len(spans), dimensions)``, each with the rest around it read.

        The first window's states before the text (``[CLS]``) belong to a span that begins with the first token, those
        behind the last window to a span that ends with the last. Only windows that hold a span are encoded.

        Args:
            text: The whole of it.
            spans: ``(start, end)`` in characters; one without a token gives zeros.
        """
        import numpy as np

        ids, places = self.model.offsets(text)
        wanted = [_tokens(places, start, end) for start, end in spans]
        sums: NDArray[np.float32] | None = None
        counts = np.zeros(len(spans), dtype=np.float32)
        for window in self._windows(ids, wanted):
            sums = np.zeros((len(spans), window.states.shape[1]), dtype=np.float32) if sums is None else sums
            for row, (start, stop) in enumerate(wanted):
                part = window.part(start, stop, len(ids))
                sums[row] += part.sum(axis=0)
                counts[row] += len(part)
        if sums is None:
            return np.zeros((len(spans), self.dimensions), dtype=np.float32)
        pooled = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
        found = self.model.projected(pooled)
        found[counts == 0] = 0
        return unit_length(found)

    def _windows(self, ids: Sequence[int], wanted: Sequence[tuple[int, int]]) -> Iterator[_Window]:
        before, behind = self.model.special
        room = self.model.room
        for start, end, first in at.overlapping_windows(len(ids), room, min(self._overlap, room // 4)):
            if any(max(low, first) < min(high, end) for low, high in wanted):
                states = self.model.states(self.model.wrapped(ids[start:end]))
                head = len(before)
                yield _Window(
                    states=states[head + first - start : head + end - start],
                    first=first,
                    lead=states[head - 1 : head] if first == 0 else states[:0],
                    tail=states[head + end - start :][: min(1, len(behind))] if end == len(ids) else states[:0],
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The states of tokens from ``first`` on; ``lead`` and ``tail`` those of what stands around the whole text."""

    states: NDArray[np.float32]
    first: int
    lead: NDArray[np.float32]
    tail: NDArray[np.float32]

    def part(self, start: int, stop: int, n: int) -> NDArray[np.float32]:
        """The states that this window has for the tokens from ``start`` to ``stop`` of a text of ``n``."""
        import numpy as np

        low, high = max(start, self.first), min(stop, self.first + len(self.states))
        if low >= high:
            return self.states[:0]
        own = self.states[low - self.first : high - self.first]
        return np.concatenate([self.lead[: int(low == 0)], own, self.tail[: int(high == n)]])


def _tokens(places: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """``(first, last + 1)`` of the tokens that overlap a stretch of characters; the same twice where none does."""
    inside = [i for i, (low, high) in enumerate(places) if low < end and high > start and low < high]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)
