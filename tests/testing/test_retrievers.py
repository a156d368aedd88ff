"""The conformance suite of retrievers: ours passes it, and each way of breaking the protocol is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from coa.documents import Document
from coa.retrieval.base import Hit, Retriever
from coa.retrieval.index import Index
from coa.testing import check_retriever


async def test_the_index_conforms(tmp_path: Path) -> None:
    async def over(documents: Sequence[Document]) -> Retriever:
        index = Index.create(tmp_path / "lib")
        index.add(documents)
        return index

    await check_retriever(over)


class Bent:
    """An index whose hits are bent on their way out."""

    def __init__(self, index: Index, bend: Callable[[list[Hit]], list[Hit]]) -> None:
        self._index, self._bend = index, bend

    async def search(self, query: str, k: int) -> list[Hit]:
        return self._bend(await self._index.search(query, k))


def moved(hits: list[Hit]) -> list[Hit]:
    return [replace(hit, span=replace(hit.span, end=hit.span.end - 1)) for hit in hits]


BENDS = {
    "what stands at": moved,
    "order of their scores": lambda hits: [replace(hit, score=float(at)) for at, hit in enumerate(hits)],
    "not finite": lambda hits: [replace(hit, score=float("nan")) for hit in hits],
    "does not find": lambda hits: [hit for hit in hits if "ferry" not in hit.text],
    "found twice": lambda hits: hits[:1] + hits[:-1],
    "hits for k=": lambda hits: hits + [replace(hit, score=-1.0) for hit in hits],
}


@pytest.mark.parametrize("problem", BENDS)
async def test_a_bent_retriever_is_found_out(problem: str, tmp_path: Path) -> None:
    async def over(documents: Sequence[Document]) -> Retriever:
        index = Index.create(tmp_path / "lib")
        index.add(documents)
        return Bent(index, BENDS[problem])

    with pytest.raises(AssertionError, match=problem):
        await check_retriever(over)


async def test_a_query_taken_for_a_program_is_found_out(tmp_path: Path) -> None:
    class Program(Bent):
        async def search(self, query: str, k: int) -> list[Hit]:
            if '"' in query:
                raise ValueError("fts5: syntax error")
            return await super().search(query, k)

    async def over(documents: Sequence[Document]) -> Retriever:
        index = Index.create(tmp_path / "lib")
        index.add(documents)
        return Program(index, lambda hits: hits)

    with pytest.raises(AssertionError, match="syntax error"):
        await check_retriever(over)
