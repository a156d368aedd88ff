"""RAPID's retrieval half: near enough, up to a budget, in the order of the text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.index import Index
from coa.retrieval.rapid import rapid_context
from coa.testing.stores import vector


class Letters:
    """An embedder that counts letters."""

    name, fingerprint, dimensions, window = "letters", "letters:1", 26, 10_000

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([vector(text) for text in texts])


PARTS = ["zzz zaz zzz zuz. ", "eeee ettt ette teet. ", "zaz zzz zuzz ziz. "]
TEXT = "\n\n".join(part * 30 for part in PARTS)


def test_what_is_near_enough_stands_in_the_order_of_the_text(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "lib", embedder=Letters())
    index.add([Document(id="d", path="d", text=TEXT, sha256="d")])
    found = rapid_context(index, "zzz zaz", tokens=4000, least=0.6)
    spans = [passage.span for passage in found.passages]
    assert spans == sorted(spans)
    assert found.tokens <= 4000
    assert all(TEXT[span.start : span.end] == passage.text for span, passage in zip(spans, found.passages, strict=True))
    near = [hit for hit in index.find("zzz zaz", 50, mode="dense") if hit.parts["dense"] >= 0.6]
    assert near
    assert all(any(span.start <= hit.span.start and hit.span.end <= span.end for span in spans) for hit in near)
    assert not rapid_context(index, "zzz zaz", least=1.01).passages
    index.close()


def test_a_least_cosine_needs_vectors(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "lib")
    index.add([Document(id="d", path="d", text=TEXT, sha256="d")])
    with pytest.raises(UsageError):
        rapid_context(index, "zzz")
    index.close()
