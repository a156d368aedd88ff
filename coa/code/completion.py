"""From a place in a repository to a task and to the bundle of files to be read for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coa.code.bundle import Bundle, bundle
from coa.code.ranking import ranked
from coa.code.repository import file_of, read_source, source_files
from coa.documents.document import Document
from coa.errors import UsageError
from coa.types import Place, Task

_QUERY_LINES, _QUERY_CHARS = 60, 3_000
_MOST_LINES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is read where documents are not read whole (files of a repository, passages), and how chosen."""

    bundle: Bundle
    warnings: tuple[str, ...]


def completion_task(repo: str | Path, *, file: str | Path, line: int, lines: int = 1, files: int = 20) -> Task:
    """The task of writing ``lines`` lines from line ``line`` of a file on.

    Raises:
        UsageError: no such line, or a number that makes no sense.
        InputError: the file is not there, not text, or not inside the repository.
    """
    if not 1 <= lines <= _MOST_LINES:
        raise UsageError(f"{lines} lines cannot be written", hint=f"Ask for 1 to {_MOST_LINES} --lines.")
    if files < 0:
        raise UsageError(f"{files} files cannot be read", hint="Give --files 0 or more.")
    document = file_of(repo, file)
    place = Place(file=document.id, line=line, lines=lines, files=files)
    return Task(kind="complete", query=_shown(before(document, place)), place=place)


def before(document: Document, place: Place) -> str:
    """All lines of a file before the place.

    Raises:
        UsageError: the file has no such line, and does not end right before it.
    """
    rows = document.text.split("\n")
    last = len(rows) if rows[-1] else len(rows) - 1
    if not 1 <= place.line <= last + 1:
        raise UsageError(
            f"{place.file!r} has {last} lines: nothing can be written at line {place.line}",
            hint=f"Give a --line from 1 to {last + 1}.",
        )
    return "\n".join(rows[: place.line - 1]) + ("\n" if place.line > 1 else "")


def gather(repo: str | Path, place: Place) -> Material:
    """Read the repository and choose: the beginning of the file itself, then the files that matter, the best first.

    Raises:
        InputError: the repository or the file cannot be read.
        UsageError: the place is not in the file, or there is nothing to read at all.
    """
    document = file_of(repo, place.file)
    text = before(document, place)
    paths = [path for path in source_files(repo) if path != place.file]
    read = [each for path in paths if (each := read_source(repo, path)) is not None]
    chosen = ranked(text, place.file, read)[: place.files]
    head = len(text) - len(_shown(text))
    own = [document] if text[:head].strip() else []
    members = [*own, *chosen] or ([document] if text.strip() else read[:1])
    if not members:
        raise UsageError("there is no code to go by", hint="Name a repository with source files, or a later --line.")
    said = [f"{len(chosen)} of {len(paths)} other source files were chosen by what they define"]
    if unread := len(paths) - len(read):
        said.append(f"{unread} source files were left out: binary, made by a program, or unreadable")
    name = re.sub(r"[^\w.-]+", "_", Path(repo).resolve().name).strip("._") or "repository"
    return Material(
        bundle=bundle(name, str(Path(repo).absolute()), members, {place.file: head if own else len(text)}),
        warnings=tuple(said),
    )


def _shown(text: str) -> str:
    """The last lines, whole, as many as every prompt can carry."""
    rows = text.splitlines(keepends=True)[-_QUERY_LINES:]
    while len(rows) > 1 and sum(map(len, rows)) > _QUERY_CHARS:
        del rows[0]
    return "".join(rows)[-_QUERY_CHARS:]
