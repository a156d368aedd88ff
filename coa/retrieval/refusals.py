"""What stores say of vectors that do not fit them, in one place and in the same words."""

from __future__ import annotations

from coa.errors import UnusableIndex, UsageError
from coa.retrieval.base import Embedding


def refuse_other(known: Embedding | None, wanted: Embedding) -> None:
    """Raise `UnusableIndex` where a store has another embedding already."""
    if known is not None and known.fingerprint != wanted.fingerprint:
        raise UnusableIndex(
            f"the vectors of this index are from {known.name!r} ({known.fingerprint}), not from {wanted.name!r}",
            hint="Search it with the embedder it was made with, or index the documents again in a new folder.",
        )


def wrong_size(shape: tuple[int, ...], embedding: Embedding) -> UsageError:
    """What to say of a vector of another length."""
    return UsageError(
        f"vectors of shape {shape!r} do not fit an index of {embedding.dimensions} dimensions",
        hint=f"This index holds vectors of {embedding.name!r}; embed with that model.",
    )


def no_embedding() -> UsageError:
    """What to say of vectors for a store that has none."""
    return UsageError("the store holds no vectors yet", hint="Claim an embedding first.")
