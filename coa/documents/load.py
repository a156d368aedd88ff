"""`load` and `load_all`: from paths, bytes or folders to documents. Content decides what a file is, then its name."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from coa.documents.archive import Archive
from coa.documents.decode import Decoded, decode
from coa.documents.document import Document, SourceMap
from coa.documents.docx import read_docx
from coa.documents.epub import read_epub
from coa.documents.html import read_html
from coa.documents.limits import Limits
from coa.documents.pdf import read_pdf
from coa.documents.subtitles import is_subtitles, read_subtitles
from coa.documents.turns import read_transcript
from coa.errors import (
    EmptyDocument,
    EncryptedDocument,
    InputError,
    InputNotFound,
    InputTooLarge,
    InputUnreadable,
    UnsupportedFormat,
    UsageError,
)
from coa.textfile import there

STDIN = "-"

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_EPUB = "application/epub+zip"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HTML_NAMES = frozenset({".html", ".htm", ".xhtml"})
_MARKDOWN_NAMES = frozenset({".md", ".markdown"})
_DOCUMENT_NAMES = frozenset(
    {".pdf", ".epub", ".mobi", ".docx", ".doc", ".odt", ".pages", ".xlsx", ".xls", ".ods", ".pptx", ".ppt", ".odp"}
)
"""What a person takes for text: in a folder that is searched, such a file is not passed over in silence."""
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv", "dist", "build"})
_SNIFF = 64 * 1024
_MOSTLY_TEXT = 0.1
_SHOWN_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailure:
    """A source that could not be loaded, and why."""

    path: str
    error: InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of loading several sources."""

    documents: tuple[Document, ...]
    failures: tuple[LoadFailure, ...]


def load(source: str | Path | bytes, *, path: str | None = None, limits: Limits | None = None) -> Document:
    """Load one document.

    Args:
        source: A path, or the bytes themselves.
        path: What to call the document in results; the default is the path given, or ``-`` for bytes.
        limits: Bounds that protect this machine.

    Raises:
        InputError: one of its subclasses, with a hint.
    """
    limits = limits or Limits()
    data = source if isinstance(source, bytes) else _read_file(Path(source), limits)
    shown = path if path is not None else (STDIN if isinstance(source, bytes) else str(source))
    if len(data) > limits.file_bytes:
        raise InputTooLarge(f"{shown!r} is larger than {limits.file_bytes // 2**20} MB")
    document = _parse(data, shown, limits)
    if not document.text.strip():
        raise EmptyDocument(f"{shown!r} holds no text")
    return document


def load_all(
    sources: Sequence[str | Path],
    *,
    limits: Limits | None = None,
    stdin: Callable[[], bytes] | None = None,
) -> Loaded:
    """Load several sources; folders are searched, and one bad file does not stop the others.

    Args:
        sources: Paths; ``-`` is standard input. The same file twice is loaded once. In a folder what is hidden, built
            or plainly no text is left out; a document that cannot be read is a failure.
        limits: Bounds that protect this machine.
        stdin: Reads standard input, where ``-`` may occur.
    """
    limits = limits or Limits()
    documents: list[Document] = []
    failures: list[LoadFailure] = []
    for source in dict.fromkeys(str(source) for source in sources):
        try:
            found = list(_expand(source, limits))
        except InputError as error:
            failures.append(LoadFailure(path=source, error=error))
            continue
        for path, searched in found:
            try:
                document = _load_one(path, stdin, limits)
            except InputError as error:
                if not searched or _missed(path, error):
                    failures.append(LoadFailure(path=path, error=error))
                continue
            documents.append(document)
    if not documents and not failures and sources:
        error = EmptyDocument("no readable document was found", hint="The folder holds no text, or only hidden files.")
        failures.append(LoadFailure(path=str(sources[0]), error=error))
    return Loaded(documents=with_own_ids(documents), failures=tuple(failures))


def _missed(path: str, error: InputError) -> bool:
    """Whether a file that a search came upon should have been read: not a picture, a program, an empty note."""
    no_text = isinstance(error, UnsupportedFormat | EmptyDocument)
    return not no_text or Path(path).suffix.lower() in _DOCUMENT_NAMES


def _load_one(path: str, stdin: Callable[[], bytes] | None, limits: Limits) -> Document:
    if path != STDIN:
        return load(path, limits=limits)
    if stdin is None:
        raise UsageError("there is no standard input here", hint="Name a file instead of -.")
    return load(stdin(), path=STDIN, limits=limits)


def _expand(source: str, limits: Limits) -> Iterator[tuple[str, bool]]:
    """The files of a source, and whether they were found by searching a folder."""
    folder = Path(source)
    if source == STDIN or not there(folder) or not folder.is_dir():
        yield source, False
        return
    seen = 0
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in inside) or not path.is_file():
            continue
        seen += 1
        if seen > limits.files:
            raise InputTooLarge(f"{source!r} holds more than {limits.files} files")
        yield str(path), True


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        if path.is_dir():
            raise InputUnreadable(f"{str(path)!r} is a folder", hint="Load its files with `coa.documents.load_all`.")
        if path.exists() and not path.is_file():
            raise InputUnreadable(f"{str(path)!r} is not a regular file", hint="Pipe it in, and use - as the file.")
        with path.open("rb") as file:
            data = file.read(limits.file_bytes + 1)
    except FileNotFoundError:
        raise InputNotFound(f"there is no file {str(path)!r}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputNotFound(
                f"there is no file {str(path)[:_SHOWN_NAME]!r}...",
                hint="If that is the text itself, put it in a file or pipe it in; in Python: coa.load(text.encode()).",
            ) from None
        raise InputUnreadable(f"{str(path)!r} cannot be read: {error}") from None
    except ValueError as error:
        raise InputUnreadable(f"{str(path)!r} cannot be read: {error}") from None
    return data


def _parse(data: bytes, name: str, limits: Limits) -> Document:
    if not data.strip(b"\x00 \t\r\n"):
        raise EmptyDocument(f"{name!r} is empty")
    if b"%PDF-" in data[:1024]:
        text, pages, warnings = read_pdf(data, name, limits)
        return _document(data, name, _plain(text, pages, warnings), "application/pdf")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _parse_archive(data, name, limits)
    if data.startswith(_OLE):
        raise _ole(name)
    return _parse_text(data, name)


def _ole(name: str) -> InputError:
    """The old Office container: an encrypted DOCX hides in one."""
    if Path(name).suffix.lower() == ".docx":
        return EncryptedDocument(f"{name!r} needs a password")
    return UnsupportedFormat(f"{name!r} is an old Office file", hint="Save it as DOCX or PDF first.")


def _parse_archive(data: bytes, name: str, limits: Limits) -> Document:
    archive = Archive(data, name, limits)
    if "word/document.xml" in archive.names:
        return _document(data, name, _plain(read_docx(archive)), _DOCX)
    if "META-INF/container.xml" in archive.names:
        text, chapters = read_epub(archive)
        return _document(data, name, _plain(text, chapters), _EPUB)
    raise UnsupportedFormat(
        f"{name!r} is an archive that is neither DOCX nor EPUB", hint="Unpack it and name its files."
    )


def _parse_text(data: bytes, name: str) -> Document:
    suffix = Path(name).suffix.lower()
    decoded = decode(data)
    if _binary(decoded.text[:_SNIFF]):
        raise UnsupportedFormat(f"{name!r} is binary data of no known format")
    if _HTML.match(data[:_SNIFF]) or suffix in _HTML_NAMES:
        return _document(data, name, read_html(data), "text/html")
    if suffix in (".srt", ".vtt") and is_subtitles(decoded.text):
        return _document(
            data, name, read_subtitles(decoded), "text/vtt" if suffix == ".vtt" else "application/x-subrip"
        )
    if suffix == ".json" and (transcript := read_transcript(decoded.text)) is not None:
        return _document(data, name, _plain(transcript, (), decoded.warnings), "application/json")
    return _document(data, name, decoded, "text/markdown" if suffix in _MARKDOWN_NAMES else "text/plain")


def _binary(sample: str) -> bool:
    odd = sum(char == "\ufffd" or (char < " " and char not in "\t\n\r\f\v\x1b\b") for char in sample)
    return odd > _MOSTLY_TEXT * len(sample)


def _plain(text: str, pages: tuple[int, ...] = (), warnings: tuple[str, ...] = ()) -> Decoded:
    """Text of a format without a byte map, cleaned like any other; the length, and so the pages, stay as they are."""
    clean = re.sub(r"[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text).replace("\r", "\n")
    return Decoded(text=clean, source_map=SourceMap(pages=pages), warnings=warnings)


def _document(data: bytes, path: str, decoded: Decoded, media_type: str) -> Document:
    return Document(
        id=_id(path),
        path=path,
        text=decoded.text,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=media_type,
        source_map=decoded.source_map,
        warnings=decoded.warnings,
    )


def _id(path: str) -> str:
    """The file's name without what could upset a file system, a URL or a shell."""
    stem = "stdin" if path == STDIN else Path(path).name
    return re.sub(r"[^\w.-]+", "_", stem).strip("._") or "document"


def with_own_ids(documents: Iterable[Document]) -> tuple[Document, ...]:
    """The documents, those whose id another one before them has numbered on: files of two folders may share a name."""
    named: dict[str, Document] = {}
    for document in documents:
        name = _unique(document.id, named)
        named[name] = document if name == document.id else replace(document, id=name)
    return tuple(named.values())


def _unique(name: str, taken: dict[str, Document]) -> str:
    if name not in taken:
        return name
    return next(other for n in count(2) if (other := f"{name}-{n}") not in taken)
