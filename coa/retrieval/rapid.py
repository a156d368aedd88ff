"""What RAPID (arXiv 2502.20330) retrieves for its draft: what is near enough to the question, in the order of the text.

The paper cuts documents into chunks of 512 tokens, takes those whose cosine with the question is 0.3 or more, the
nearest first, up to 8,192 tokens, and puts them in the order of their places. Its other half, decoding with a draft and
a target model together, needs the logits of two models, which no API gives: it is not here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coa.errors import UsageError
from coa.retrieval.base import Hit
from coa.retrieval.context import Context
from coa.retrieval.index import Index
from coa.tokens import TokenCounter

TOKENS, LEAST = 8192, 0.3
_MOST_HITS = 500
_REACH = 2
"""Units on each side: five units of up to 600 characters are about the paper's 512 tokens."""


def near_enough(hits: list[Hit], least: float) -> list[Hit]:
    """The hits whose cosine with the query is at least ``least``.

    Raises:
        UsageError: the hits carry no cosine: they are of a search by words alone.
    """
    if any("dense" not in hit.parts for hit in hits):
        raise UsageError(
            "a least cosine needs vectors", hint="Index with --embedder minilm, and search with --mode dense or hybrid."
        )
    return [hit for hit in hits if hit.parts["dense"] >= least]


def rapid_context(
    index: Index,
    query: str,
    *,
    tokens: int = TOKENS,
    least: float = LEAST,
    counter: TokenCounter | None = None,
    **options: Any,
) -> Context:
    """The context of RAPID's draft model; empty where nothing is near enough.

    Args:
        index: An index with vectors.
        query: The question.
        tokens: How many the passages may have together.
        least: The least cosine of a passage.
        counter: Counts tokens; the default estimates.
        **options: Of `Index.find`, such as ``where``.

    Raises:
        UsageError: the index has no vectors, or the query is empty.
    """
    hits = near_enough(index.find(query, _MOST_HITS, mode="dense", **options), least)
    widened = [replace(hit, score=hit.parts["dense"]) for hit in hits]
    return index.context(widened, tokens, order="document", expand="window", reach=_REACH, counter=counter)
