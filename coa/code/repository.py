"""The source files of a repository that somebody else wrote: bounded, without links, without what Git ignores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coa.code.ignored import Ignored
from coa.code.languages import language_of
from coa.documents.decode import decode
from coa.documents.document import SOURCE_CODE, Document
from coa.errors import InputNotFound, InputTooLarge, InputUnreadable, UnsafeInput

_SKIPPED = frozenset(
    "__pycache__ node_modules bower_components venv env dist build target site-packages third_party vendor".split()  # noqa: SIM905
)
_SNIFF = 8192
_LONG_LINES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryLimits:
    """How much of a repository is looked at.

    Attributes:
        files: Source files; more are refused, so that nobody reads a disk by mistake.
        file_bytes: A larger file is left out: it was made by a program.
        depth: Folders inside folders.
    """

    files: int = 20_000
    file_bytes: int = 512 * 1024
    depth: int = 40


def source_files(root: str | Path, limits: RepositoryLimits | None = None) -> list[str]:
    """The paths of a repository's source files, relative to it, in order.

    Raises:
        InputNotFound: there is no such folder.
        InputTooLarge: it holds more files than the limits allow.
    """
    root, limits = Path(root), limits or RepositoryLimits()
    if not root.is_dir():
        raise InputNotFound(f"there is no folder {str(root)!r}", hint="Name the folder of the repository.")
    found: list[str] = []
    for path in _walk(root, (), Ignored(), limits):
        found.append(path)
        if len(found) > limits.files:
            raise InputTooLarge(
                f"{str(root)!r} holds more than {limits.files} source files", hint="Name a folder inside it."
            )
    return found


def _walk(folder: Path, parts: tuple[str, ...], above: Ignored, limits: RepositoryLimits) -> Iterator[str]:
    ignored = above.below(folder, len(parts))
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        inside = (*parts, entry.name)
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            skip = entry.name in _SKIPPED or ignored.covers(inside, folder=True)
            if not skip and len(parts) < limits.depth:
                yield from _walk(entry, inside, ignored, limits)
        elif language_of(entry.name) and entry.is_file() and not ignored.covers(inside, folder=False):
            yield "/".join(inside)


def read_source(root: str | Path, path: str, limits: RepositoryLimits | None = None) -> Document | None:
    """A file of a repository as a document whose id is its path there; None for what no person wrote.

    That is a binary file, one that is too large, or one with lines too long to be read.
    """
    limits = limits or RepositoryLimits()
    try:
        with (Path(root) / path).open("rb") as file:
            data = file.read(limits.file_bytes + 1)
    except OSError:
        return None
    if len(data) > limits.file_bytes or b"\x00" in data[:_SNIFF]:
        return None
    document = _document(Path(root), path, data)
    lines = document.text.count("\n") + 1
    return None if len(document.text) > _LONG_LINES * lines or not document.text.strip() else document


def file_of(root: str | Path, file: str | Path) -> Document:
    """One file of a repository that somebody asked for by name: its path may be relative to the repository or not.

    Raises:
        UnsafeInput: it lies outside of the repository.
        InputNotFound: there is no such file.
        InputUnreadable: it is not text, or too large.
    """
    base = Path(root).resolve()
    inside = base / file
    here = (Path(file) if not inside.exists() and Path(file).exists() else inside).resolve()
    if not here.is_relative_to(base):
        raise UnsafeInput(f"{str(file)!r} does not lie in {str(root)!r}", hint="Name a file of the repository.")
    if not here.is_file():
        raise InputNotFound(f"there is no file {str(file)!r} in {str(root)!r}")
    limit = RepositoryLimits().file_bytes
    try:
        with here.open("rb") as opened:
            data = opened.read(limit + 1)
    except OSError as error:
        raise InputUnreadable(f"{str(file)!r} cannot be read: {error}") from None
    if len(data) > limit or b"\x00" in data[:_SNIFF]:
        raise InputUnreadable(f"{str(file)!r} is binary, or larger than {limit // 1024} kB")
    return _document(base, here.relative_to(base).as_posix(), data)


def _document(root: Path, path: str, data: bytes) -> Document:
    decoded = decode(data)
    return Document(
        id=path,
        path=str(root / path),
        text=decoded.text,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=SOURCE_CODE,
        source_map=decoded.source_map,
    )
