"""MiniLM's vectors, kept in a file between runs: trying a way of ranking must not cost embedding everything again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coa.retrieval.embedders import Embedder, resolve_embedder


class Kept:
    """An embedder that remembers what it embedded, in ``file``."""

    def __init__(self, file: Path, inner: Embedder | None = None) -> None:
        self._file, self._inner = file, inner or resolve_embedder("minilm")
        self._known: dict[str, NDArray[np.float32]] = {}
        if file.exists():
            with np.load(file) as found:
                self._known = dict(zip(found["keys"].tolist(), found["vectors"], strict=True))
        self.name, self.fingerprint = "minilm", self._inner.fingerprint
        self.dimensions, self.window = 384, 254

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            for i, vector in zip(new, self._inner.embed([texts[i] for i in new]), strict=True):
                self._known[keys[i]] = vector
        return np.stack([self._known[key] for key in keys])

    def keep(self) -> None:
        with self._file.open("wb") as file:
            np.savez(file, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))
