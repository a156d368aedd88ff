"""What every `coa.retrieval.base.Retriever` must do, over an index of the documents that this module hands out.

::

    async def test_my_retriever_conforms():
        await check_retriever(MyRetriever.over)      # documents in, a retriever over them out
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from itertools import pairwise

from coa.documents import Document
from coa.errors import CoaError
from coa.retrieval.base import Hit, Retriever

Over = Callable[[Sequence[Document]], Awaitable[Retriever]]

_SUBJECTS = (
    "lantern",
    "ferry",
    "orchard",
    "granary",
    "harbour",
    "clockmaker",
    "beehive",
    "quarry",
    "violin",
    "windmill",
)
_ODD_QUERIES = ("lantern OR NOT (", '"lantern', "lantern*", "\x00lantern", "\u202elantern", "'; DROP TABLE units; --")


def sample_documents() -> tuple[Document, ...]:
    """Ten short documents in like words, each about a thing of its own; some of the text is beyond ASCII."""
    texts = [
        f"The {subject} of the valley was old. Nobody knew who had made the {subject}.\n\n"
        f"Every winter the {subject} was mended — «über Nacht», 你好 — by number {number}."
        for number, subject in enumerate(_SUBJECTS)
    ]
    return tuple(
        Document(id=subject, path=f"{subject}.txt", text=text, sha256=sha256(text.encode()).hexdigest())
        for text, subject in zip(texts, _SUBJECTS, strict=True)
    )


async def check_retriever(over: Over) -> None:
    """Run every check of this module.

    Args:
        over: Makes a retriever over documents.

    Raises:
        AssertionError: the retriever breaks the protocol; the message says how.
    """
    documents = sample_documents()
    retriever = await over(documents)
    _check(_is_retriever(retriever), "it lacks a member of coa.retrieval.base.Retriever")
    for check in (finds, stands_where_it_says, bounds_and_orders, repeats_itself, survives_odd_queries, serves_at_once):
        await check(retriever, documents)


Check = Callable[[Retriever, Sequence[Document]], Awaitable[None]]


async def finds(retriever: Retriever, documents: Sequence[Document]) -> None:
    """The document that alone holds a word comes first for that word."""
    for document, subject in zip(documents, _SUBJECTS, strict=True):
        hits = await retriever.search(subject, 3)
        _check(bool(hits) and hits[0].span.doc == document.id, f"{subject!r} does not find {document.path!r} first")


async def stands_where_it_says(retriever: Retriever, documents: Sequence[Document]) -> None:
    """The text of a hit is the document's text at its span, character for character."""
    by_id = {document.id: document for document in documents}
    for subject in _SUBJECTS:
        for hit in await retriever.search(subject, 10):
            _check(hit.span.doc in by_id, f"a hit in an unknown document {hit.span.doc!r}")
            there = by_id[hit.span.doc].text[hit.span.start : hit.span.end]
            _check(bool(there) and hit.text == there, f"the text of a hit is not what stands at {hit.span!r}")


async def bounds_and_orders(retriever: Retriever, _: Sequence[Document]) -> None:
    """At most ``k`` hits, best first, with finite scores, no place twice."""
    for k in (1, 2, 5, 1000):
        hits = await retriever.search("the valley in winter", k)
        _check(0 < len(hits) <= k, f"{len(hits)} hits for k={k}")
        _check(all(math.isfinite(hit.score) for hit in hits), "a score is not finite")
        _check(all(one.score >= two.score for one, two in pairwise(hits)), "hits are not in the order of their scores")
        _check(len({hit.span for hit in hits}) == len(hits), "the same place was found twice")


async def repeats_itself(retriever: Retriever, _: Sequence[Document]) -> None:
    """The same query gives the same hits."""
    _check(await retriever.search("old lantern", 5) == await retriever.search("old lantern", 5), "hits change")


async def survives_odd_queries(retriever: Retriever, _: Sequence[Document]) -> None:
    """A query is words, never a program: hits or a `CoaError`, nothing else."""
    for query in _ODD_QUERIES:
        try:
            await retriever.search(query, 3)
        except CoaError:
            continue
        except Exception as error:
            raise AssertionError(f"{query!r} makes it raise {type(error).__name__}: {error}") from error
    _check(bool(await retriever.search("lantern", 3)), "an odd query broke it")


async def serves_at_once(retriever: Retriever, _: Sequence[Document]) -> None:
    """Searches side by side give what they give one after another."""
    alone = [await retriever.search(subject, 3) for subject in _SUBJECTS]
    together: list[list[Hit]] = list(await asyncio.gather(*(retriever.search(subject, 3) for subject in _SUBJECTS)))
    _check(alone == together, "searches side by side disturb each other")


def _is_retriever(value: object) -> bool:
    return isinstance(value, Retriever)


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise AssertionError(problem)
