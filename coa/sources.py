"""Where the text of a run comes from: files, standard input, loaded documents, a repository, or an index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coa.code.completion import Material, gather
from coa.documents import Document, LoadFailure, load_all
from coa.documents.load import with_own_ids
from coa.errors import UsageError
from coa.serving.base import Model
from coa.types import Place, Task

if TYPE_CHECKING:
    from coa.retrieval.base import Retriever

SourceLike = str | Path | Document
ReadStdin = Callable[[], bytes]


class Kept:
    """Reads standard input once and keeps it, so that the run directory can hold a copy."""

    def __init__(self, read: ReadStdin | None) -> None:
        self._read = read
        self.data: bytes | None = None

    def read(self) -> bytes:
        """What standard input held.

        Raises:
            UsageError: there is none.
        """
        if self.data is None:
            if self._read is None:
                raise UsageError("there is no standard input here", hint="Pass `stdin`, or name a file instead of -.")
            self.data = self._read()
        return self.data


async def load_sources(
    sources: Sequence[SourceLike], stdin: ReadStdin | None
) -> tuple[tuple[Document, ...], tuple[LoadFailure, ...]]:
    """What can be loaded, and what cannot.

    Raises:
        InputError: nothing can.
    """
    given = tuple(source for source in sources if isinstance(source, Document))
    paths = [source for source in sources if not isinstance(source, Document)]
    loaded = await asyncio.to_thread(load_all, paths, stdin=stdin)
    documents = with_own_ids((*given, *loaded.documents))
    if not documents:
        raise loaded.failures[0].error
    return documents, loaded.failures


async def material_of(
    task: Task,
    sources: Sequence[SourceLike],
    stdin: ReadStdin | None,
    model: Model | None,
    found: Retriever | None,
) -> tuple[Material | None, tuple[LoadFailure, ...]]:
    """What is read where the documents are not read whole: files of a repository, or passages."""
    if task.place is not None:
        return await asyncio.to_thread(_gathered, sources, task.place), ()
    if task.retrieve is None or model is None:
        if found is not None:
            raise UsageError("a retriever needs a budget", hint="Say with retrieve= how many tokens are to be read.")
        return None, ()
    from coa.retrieval.reading import found_by, indexed, passages, passages_of

    if found is None and (address := indexed(sources)) is not None:
        return await asyncio.to_thread(passages_of, address, task, model.counter), ()
    documents, failures = await load_sources(sources, stdin)
    hits = None if found is None else await found_by(found, documents, task)
    return await asyncio.to_thread(passages, documents, task, model.counter, hits), failures


def _gathered(sources: Sequence[SourceLike], place: Place) -> Material:
    """What is read for a completion: a repository is one folder."""
    repo, *more = sources
    if more or isinstance(repo, Document):
        raise UsageError("a completion takes one repository", hint="Name its folder: coa complete REPO --file F ...")
    return gather(repo, place)


def name_of(source: SourceLike) -> str:
    """A source as a manifest names it, so that it is found again from any directory."""
    if isinstance(source, Document):
        return source.path
    text = str(source)
    return text if text == "-" or "://" in text else str(Path(source).absolute())
