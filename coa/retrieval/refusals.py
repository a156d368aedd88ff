"""What stores say of vectors that do not fit them, in one place and in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coa.errors import UnusableIndex, UsageError
from coa.retrieval.base import Embedding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def refuse_other(known: Embedding | None, wanted: Embedding) -> None:
    """Raise `UnusableIndex` where a store has another embedding already."""
    if known is not None and known.fingerprint != wanted.fingerprint:
        raise UnusableIndex(
            f"the vectors of this index are from {known.name!r} ({known.fingerprint}), not from {wanted.name!r}",
            hint="Search it with the embedder it was made with, or index the documents again in a new folder.",
        )


def check_vectors(known: Embedding | None, count: int, vectors: NDArray[np.float32]) -> Embedding:
    """The embedding of a store that is given ``count`` vectors.

    Raises:
        UsageError: it has none, or they are not so many finite vectors of its length.
    """
    import numpy as np

    if known is None:
        raise UsageError("the store holds no vectors yet", hint="Claim an embedding first.")
    if vectors.shape != (count, known.dimensions):
        raise wrong_size(vectors.shape, known)
    if not np.isfinite(vectors).all():
        raise UsageError("a vector is not finite", hint=f"The embedder {known.name!r} gave numbers that are none.")
    return known


def wrong_size(shape: tuple[int, ...], embedding: Embedding) -> UsageError:
    """What to say of a vector of another length."""
    return UsageError(
        f"vectors of shape {shape!r} do not fit an index of {embedding.dimensions} dimensions",
        hint=f"This index holds vectors of {embedding.name!r}; embed with that model.",
    )
