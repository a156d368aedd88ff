"""`coa.index`: documents are loaded and indexed in a thread, and whoever waits is told of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from coa.documents import Document, load_all
from coa.events import DocumentIndexed, Emit, Event, VectorsMade, Warned
from coa.retrieval.index import Index
from coa.sources import SourceLike


class _Ended(Exception):
    """Nobody waits for the index any more."""


async def create_index(sources: Sequence[SourceLike], folder: str | Path, embedder: str | None, emit: Emit) -> Index:
    """Make or extend an index; see `coa.aio.index`.

    Cancelled, it ends after the commit it is at and closes the index; the same call goes on from there.
    """
    loop, cancelled = asyncio.get_running_loop(), False

    def tell(event: Event) -> None:
        if cancelled:
            raise _Ended
        loop.call_soon_threadsafe(emit, event)

    work = asyncio.ensure_future(asyncio.to_thread(_create, sources, folder, embedder, tell))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancelled = True
        await asyncio.wait([work])
        if work.exception() is None:
            work.result().close()
        raise


def _create(sources: Sequence[SourceLike], folder: str | Path, embedder: str | None, emit: Emit) -> Index:
    given = [source for source in sources if isinstance(source, Document)]
    loaded = load_all([source for source in sources if not isinstance(source, Document)])
    if not given and not loaded.documents and loaded.failures:
        raise loaded.failures[0].error
    documents, done = [*given, *loaded.documents], count(1)

    def indexed(document: Document, new: bool) -> None:
        emit(DocumentIndexed(path=document.path, new=new, done=next(done), documents=len(documents)))

    opened = Index.create(folder, embedder=embedder)
    try:
        for failure in loaded.failures:
            emit(Warned(message=f"not indexed: {failure.path}: {failure.error.message}"))
        opened.add(documents, indexed, filled=lambda made, of: emit(VectorsMade(done=made, passages=of)))
    except BaseException:
        opened.close()
        raise
    opened.failures = loaded.failures
    return opened
