"""The ways to read a long text, by name, and the embedder that reads so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from coa.errors import InputTooLarge, UsageError
from coa.retrieval.longembed import positions as at
from coa.retrieval.longembed.model import LongModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coa.retrieval.embedders import SentenceTransformerEmbedder

LIMIT = 32_768
"""Tokens of a text at most, where all of it is attended to at once: that takes time by the square of its length."""

_BATCH_TOKENS = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Wrapped ids of texts that are stretched alike, beyond the model's native length."""

    model: LongModel
    ids: Sequence[Sequence[int]]
    s: int

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(map(len, self.ids))


Prepare = Callable[[Batch, ExitStack], Any]
"""Puts the model into shape for a batch, to be undone with the stack; gives the positions."""


def _grouped(batch: Batch, _: ExitStack) -> Any:
    batch.model.need("absolute", "rope", method="grouped positions (gp)")
    return at.grouped(batch.longest, batch.s) + batch.model.offset


def _recurrent(batch: Batch, _: ExitStack) -> Any:
    batch.model.need("absolute", method="recurrent positions (rp)")
    return at.recurrent(batch.longest, batch.model.native) + batch.model.offset


def _interpolated(batch: Batch, stack: ExitStack) -> Any:
    batch.model.need("absolute", "rope", method="interpolated positions (pi)")
    if batch.model.kind == "rope":
        return at.interpolated(batch.longest, batch.s).astype("float32")
    stack.enter_context(batch.model.rows(batch.longest, batch.s))
    return at.grouped(batch.longest, 1) + batch.model.offset


def _ntk(batch: Batch, stack: ExitStack) -> Any:
    batch.model.need("rope", method="NTK-aware RoPE (ntk)")
    stack.enter_context(batch.model.frequencies(at.ntk_factor(batch.s)))
    return at.grouped(batch.longest, 1)


def _self_extend(batch: Batch, _: ExitStack) -> Any:
    batch.model.need("rope", method="SelfExtend (selfextend)")
    return at.grouped(batch.longest, 1) * 0


METHODS: Mapping[str, Prepare] = MappingProxyType(
    {"gp": _grouped, "rp": _recurrent, "pi": _interpolated, "ntk": _ntk, "selfextend": _self_extend}
)
PARALLEL, LATE = "pcw", "late"
NAMES = (PARALLEL, *METHODS, LATE)


class LongEmbedder:
    """An embedding model that reads long texts by one of the methods; inside its window it is the model itself.

    Args:
        base: The model.
        method: ``pcw``, ``gp``, ``rp``, ``pi``, ``ntk`` or ``selfextend``.
        native: The length it was made for, in tokens; what sentence-transformers reads by default.
        limit: Longer texts are refused; parallel windows have no limit.
        scaled: Multiply queries by ``ln n / ln native`` in long texts, as the paper does with all methods but windows.
    """

    def __init__(
        self,
        base: SentenceTransformerEmbedder,
        method: str,
        *,
        native: int | None = None,
        limit: int = LIMIT,
        scaled: bool = True,
    ) -> None:
        if method not in (PARALLEL, *METHODS):
            raise UsageError(f"unknown method {method!r}", hint=f"Choose one of: {', '.join((PARALLEL, *METHODS))}.")
        self._base, self._method, self._native, self._limit, self._scaled = base, method, native, limit, scaled

    @property
    def name(self) -> str:
        """As `coa.retrieval.embedders.resolve_embedder` takes it."""
        return f"{self._base.name}+{self._method}"

    @property
    def fingerprint(self) -> str:
        """The model's, with the method and what determines its vectors."""
        how = f"{self._method}:{self.model.native}" + ("" if self._scaled or self._method == PARALLEL else ":unscaled")
        return f"{self._base.fingerprint}+{how}"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._base.dimensions

    @property
    def window(self) -> int:
        """Tokens that it reads at a time: the limit, or with parallel windows one of them."""
        return self.model.room if self._method == PARALLEL else self._limit

    @cached_property
    def model(self) -> LongModel:
        """The model, opened."""
        return LongModel(self._base.loaded, self._native)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; an empty text gives zeros.

        Raises:
            InputTooLarge: a text is beyond the limit: nothing is ever cut.
            UsageError: the method does not go with the model's positions.
        """
        from coa.retrieval.longembed.pooling import unit_length

        return unit_length(self._parallel(texts) if self._method == PARALLEL else self._whole(texts))

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of queries, with the model's prefix for them."""
        return self.embed(self._base.as_queries(texts))

    def _parallel(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean of each text's windows, before they are normalised."""
        import numpy as np

        windows: list[list[int]] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            ids = self.model.ids(text) if text.strip() else []
            for start, end in at.parallel_windows(len(ids), self.model.room) if ids else []:
                windows.append(self.model.wrapped(ids[start:end]))
                owners.append(owner)
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for rows in batches(windows):
            np.add.at(found, np.array(owners)[rows], self.model.vectors([windows[row] for row in rows]))
        counts = np.bincount(owners, minlength=len(texts)) if owners else np.zeros(len(texts))
        return found / np.maximum(counts, 1)[:, None].astype(np.float32)

    def _whole(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        wrapped = [self.model.wrapped(self.model.ids(text)) if text.strip() else [] for text in texts]
        for ids in wrapped:
            if len(ids) > self._limit:
                raise InputTooLarge(
                    f"a text of {len(ids)} tokens is longer than the {self._limit} that {self.name!r} reads at once",
                    hint=f"Cut it into passages, or use parallel windows: {self._base.name}+{PARALLEL}.",
                )
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        stretched = [at.stretch(len(ids), self.model.native) for ids in wrapped]
        for rows in batches(wrapped, stretched):
            found[rows] = self._batch([wrapped[row] for row in rows], stretched[rows[0]])
        return found

    def _batch(self, ids: Sequence[Sequence[int]], s: int) -> NDArray[np.float32]:
        if s == 1:
            return self.model.vectors(ids)
        batch = Batch(model=self.model, ids=ids, s=s)
        with ExitStack() as stack:
            place = METHODS[self._method](batch, stack)
            if (attending := self._attention(batch)) is not None:
                stack.enter_context(attending)
            return self.model.vectors(ids, place)

    def _attention(self, batch: Batch) -> AbstractContextManager[None] | None:
        factors = [at.attention_factor(len(ids), self.model.native) if self._scaled else 1.0 for ids in batch.ids]
        if self._method == "selfextend":
            return self.model.attention(factors, at.self_extend(batch.longest, self.model.native))
        return self.model.attention(factors) if self._scaled else None


def batches(texts: Sequence[Sequence[int]], kinds: Sequence[int] | None = None) -> list[list[int]]:
    """The numbers of the texts that are not empty, by length, some thousand tokens a batch and one kind each."""
    order = sorted((row for row in range(len(texts)) if texts[row]), key=lambda row: len(texts[row]))
    found: list[list[int]] = []
    for row in order:
        last = found[-1] if found else []
        alike = last and (kinds is None or kinds[last[0]] == kinds[row])
        if alike and (len(last) + 1) * len(texts[row]) <= _BATCH_TOKENS:
            last.append(row)
        else:
            found.append([row])
    return found
