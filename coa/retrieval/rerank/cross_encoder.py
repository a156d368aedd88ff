"""Cross-encoders through sentence-transformers: query and passage read together, one score a pair.

sentence-transformers cuts a pair at the model's window without a word. Here a passage that does not fit beside
the query is read in parts, and the best part counts (MaxP, Dai and Callan, arXiv 1905.09217).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from coa.errors import MissingExtra, UsageError, WindowTooSmall
from coa.retrieval.base import Hit
from coa.retrieval.hub import only_from_cache
from coa.retrieval.rerank.base import Reranked, scored
from coa.split import split_text

_BATCH = 32
_LEAST_ROOM = 8


class CrossEncoderReranker:
    """A `coa.retrieval.rerank.base.Reranker` over any cross-encoder with one score; extra ``embeddings``.

    Args:
        model: The folder or the name of a model.
    """

    def __init__(self, model: str | Path) -> None:
        self._source = str(model)

    async def rerank(self, query: str, hits: Sequence[Hit]) -> Reranked:
        """All the hits, best first.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            UsageError: no such model, or one with several scores; an empty query.
            WindowTooSmall: the query alone fills the model's window.
        """
        if not query.strip():
            raise UsageError("the query is empty", hint="Give some words to rank by.")
        return await asyncio.to_thread(self._rerank, query, tuple(hits))

    def _rerank(self, query: str, hits: tuple[Hit, ...]) -> Reranked:
        room = self._room(query)
        parts: list[str] = []
        owners: list[int] = []
        for owner, hit in enumerate(hits):
            for part in self._parts(hit.text, room):
                parts.append(part)
                owners.append(owner)
        best = [float("-inf")] * len(hits)
        for owner, score in zip(owners, self._scores(query, parts), strict=True):
            best[owner] = max(best[owner], score)
        order = sorted(range(len(hits)), key=lambda index: (-best[index], index))
        split = len({owner for owner in owners if owners.count(owner) > 1})
        said = f"{split} passages are longer than the model's window: they were read in parts, and the best part counts"
        return Reranked(
            hits=tuple(scored(hits[index], best[index]) for index in order),
            method="cross-encoder",
            warnings=(said,) if split else (),
        )

    def _scores(self, query: str, parts: Sequence[str]) -> list[float]:
        if not parts:
            return []
        found: Any = self._model.predict([(query, part) for part in parts], batch_size=_BATCH, show_progress_bar=False)
        if found.ndim != 1:
            raise UsageError(
                f"{self._source!r} gives {found.shape[1]} scores a pair", hint="Take a cross-encoder with one label."
            )
        return [float(score) for score in found]

    def _parts(self, text: str, room: int) -> list[str]:
        if self.count(text) <= room:
            return [text]
        return [text[start:end] for start, end, _ in split_text(text, room, self)]

    def _room(self, query: str) -> int:
        """Tokens of a passage that fit beside the query."""
        # Version 6 of sentence-transformers renamed it.
        name = "max_seq_length" if "max_seq_length" in dir(self._model) else "max_length"
        limit = int(getattr(self._model, name) or self._model.tokenizer.model_max_length)
        beside = len(self._model.tokenizer(query, "", truncation=False, verbose=False)["input_ids"])
        if limit - beside < _LEAST_ROOM:
            raise WindowTooSmall(
                f"the query takes {beside} of the {limit} tokens that {self._source!r} reads", hint="Ask more briefly."
            )
        return limit - beside

    @property
    def label(self) -> str:
        """Whose tokens `count` counts."""
        return f"tokenizer of {self._source}"

    margin = 0.0

    def count(self, text: str) -> int:
        """Tokens of a text, as the model's tokenizer counts them."""
        return len(self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    @cached_property
    def _model(self) -> Any:
        if find_spec("sentence_transformers") is None:
            raise MissingExtra(
                "cross-encoders need sentence-transformers", hint="pip install 'chain-of-agents[embeddings]'"
            )
        module: Any = import_module("sentence_transformers")
        try:
            return module.CrossEncoder(self._source, device="cpu", local_files_only=only_from_cache(self._source))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self._source!r} is not a cross-encoder that sentence-transformers can load",
                hint="Give the folder of a model, such as one made with sentence_transformers.CrossEncoder.",
            ) from error
