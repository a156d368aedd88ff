"""Passages that bear on a question, put together to be read by a chain: of an index, or of the documents themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from coa.code.bundle import bundle_passages
from coa.code.completion import Material
from coa.documents import Document
from coa.errors import EmptyDocument, UsageError
from coa.retrieval.base import TEXT, Hit, Retriever
from coa.retrieval.index import Index
from coa.retrieval.stores import is_index
from coa.tokens import TokenCounter
from coa.types import Task

_TOKENS_A_HIT = 40
_MOST_HITS = 500


def indexed(sources: Sequence[str | Path | Document]) -> str | Path | None:
    """The address of the index, where the sources are one.

    Raises:
        UsageError: an index among other sources.
    """
    addresses = [source for source in sources if not isinstance(source, Document) and is_index(source)]
    if addresses and len(sources) > 1:
        raise UsageError("an index is asked alone", hint="Name one index, or files and folders.")
    return addresses[0] if addresses else None


def passages_of(address: str | Path, task: Task, counter: TokenCounter) -> Material:
    """Passages of an index.

    Raises:
        EmptyDocument: nothing in it bears on the question.
        UnusableIndex: it is none.
    """
    index = Index.open(address)
    try:
        return _material(index, str(address), task, counter)
    finally:
        index.close()


async def found_by(retriever: Retriever, documents: Sequence[Document], task: Task) -> list[Hit]:
    """What a retriever of the caller's finds in documents; what does not stand in one of them does not count."""
    by_id = {document.id: document for document in documents}
    hits = await retriever.search(task.query or "", _most(task))
    standing = [hit for hit in hits if (d := by_id.get(hit.span.doc)) is not None and d.read(hit.span).strip()]
    return [replace(hit, text=by_id[hit.span.doc].read(hit.span), kind=TEXT, unit=None) for hit in standing]


def passages(
    documents: Sequence[Document], task: Task, counter: TokenCounter, hits: Sequence[Hit] | None = None
) -> Material:
    """Passages of documents, by their words: an index of them is made and thrown away.

    Args:
        documents: Where to look.
        task: With the question and the budget.
        counter: Counts tokens.
        hits: What was found already.

    Raises:
        EmptyDocument: nothing in them bears on the question.
    """
    with tempfile.TemporaryDirectory(prefix="coa-") as folder:
        index = Index.create(folder)
        try:
            # An index tells documents apart by their paths, a run by their ids.
            index.add([Document(id=one.id, path=one.id, text=one.text, sha256=one.sha256) for one in documents])
            originals = {document.id: document for document in documents}
            return _material(index, documents[0].path, task, counter, originals, hits)
        finally:
            index.close()


def _material(
    index: Index,
    path: str,
    task: Task,
    counter: TokenCounter,
    originals: Mapping[str, Document] | None = None,
    hits: Sequence[Hit] | None = None,
) -> Material:
    tokens = task.retrieve or 1
    if hits is None:
        hits = index.find(task.query or "", _most(task))
    found = index.context(hits, tokens, expand="window", counter=counter)
    if not found.passages:
        raise EmptyDocument(
            "no passage bears on the question", hint="Ask in words of the text, give a larger --retrieve, or none."
        )
    documents = originals or _documents(index, found.passages)
    chosen = [(documents[hit.span.doc], hit.span) for hit in found.passages]
    of = dict.fromkeys(hit.span.doc for hit in found.passages)
    said = (
        f"{len(chosen)} passages of {len(of)} of {len(index.sources)} documents were read, {found.tokens} tokens: "
        "the rest was not retrieved"
    )
    return Material(bundle=bundle_passages(next(iter(of)), path, chosen), warnings=(said,))


def _most(task: Task) -> int:
    return min(_MOST_HITS, 10 + (task.retrieve or 1) // _TOKENS_A_HIT)


def _documents(index: Index, hits: Sequence[Hit]) -> dict[str, Document]:
    found = (index.store.document(doc) for doc in {hit.span.doc for hit in hits})
    return {document.id: document for document in found if document is not None}
