"""The vectors of units: of their texts, or of their places in their documents where the embedder reads those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coa.retrieval.base import TEXT, Store, Unit
from coa.retrieval.embedders import Embedder, SpanEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def embed_units(embedder: Embedder, store: Store, units: Sequence[Unit]) -> NDArray[np.float32]:
    """Vectors of units, shape ``(len(units), dimensions)``, in their order.

    A document that is changed keeps the vectors of the units whose text stayed, also of an embedder that reads what
    stands around them.
    """
    import numpy as np

    if not isinstance(embedder, SpanEmbedder):
        return embedder.embed([unit.text for unit in units])
    vectors = np.zeros((len(units), embedder.dimensions), dtype=np.float32)
    alone = [row for row, unit in enumerate(units) if unit.kind != TEXT]
    if alone:
        vectors[alone] = embedder.embed([units[row].text for row in alone])
    by_document: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        if unit.kind == TEXT:
            by_document.setdefault(unit.span.doc, []).append(row)
    for doc, rows in by_document.items():
        spans = [(units[row].span.start, units[row].span.end) for row in rows]
        vectors[rows] = embedder.embed_spans(store.text(doc), spans)
    return vectors
