"""Archives (DOCX, EPUB) opened without trust: nothing is inflated past its limits, whatever the headers say."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from coa.documents.limits import Limits
from coa.errors import CorruptFile, EncryptedDocument, InputTooLarge, UnsafeInput

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PIECE = 64 * 1024
_RATIO_FROM = 1024 * 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, ValueError)


class Archive:
    """The members of a zip file, by name.

    Raises:
        CorruptFile, EncryptedDocument, InputTooLarge, UnsafeInput: see `read`.
    """

    def __init__(self, data: bytes, name: str, limits: Limits) -> None:
        self._name, self._limits, self._inflated = name, limits, 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as error:
            raise CorruptFile(f"{name!r} is damaged: {error}") from None
        members = self._zip.infolist()
        if len(members) > limits.members:
            raise InputTooLarge(f"{name!r} holds {len(members)} files, more than {limits.members}")
        for member in members:
            if member.filename.startswith(("/", "\\")) or ".." in PurePosixPath(member.filename).parts:
                raise UnsafeInput(f"{name!r} holds a path that leaves the archive: {member.filename!r}")

    @property
    def names(self) -> frozenset[str]:
        """What the archive holds."""
        return frozenset(self._zip.namelist())

    def read(self, member: str) -> bytes:
        """Inflate one member, piece by piece, and stop at the limits.

        Raises:
            CorruptFile: it is missing or damaged.
            EncryptedDocument: it needs a password.
            InputTooLarge: it is larger than the limits allow.
            UnsafeInput: it inflates like a bomb.
        """
        try:
            info = self._zip.getinfo(member)
            with self._zip.open(info) as stream:
                return self._bounded(stream, info)
        except KeyError:
            raise CorruptFile(f"{self._name!r} lacks {member!r}") from None
        except _DAMAGE as error:
            raise CorruptFile(f"{member!r} in {self._name!r} is damaged: {error}") from None
        except RuntimeError:
            raise EncryptedDocument(f"{self._name!r} is encrypted") from None

    def _bounded(self, stream: object, info: zipfile.ZipInfo) -> bytes:
        assert isinstance(stream, io.BufferedIOBase)
        pieces: list[bytes] = []
        size = 0
        while piece := stream.read(_PIECE):
            size += len(piece)
            self._inflated += len(piece)
            if size > _RATIO_FROM and size > self._limits.ratio * info.compress_size:
                raise UnsafeInput(f"{info.filename!r} in {self._name!r} inflates more than {self._limits.ratio} times")
            if size > self._limits.member_bytes or self._inflated > self._limits.archive_bytes:
                raise InputTooLarge(f"{info.filename!r} in {self._name!r} is larger than the limits allow")
            pieces.append(piece)
        return b"".join(pieces)

    def xml(self, member: str) -> Element:
        """Parse one member as XML without entities.

        Raises:
            UnsafeInput: it declares entities or external references.
            CorruptFile: it is not well formed.
        """
        from xml.etree.ElementTree import ParseError

        from defusedxml import ElementTree
        from defusedxml.common import DefusedXmlException

        try:
            return ElementTree.fromstring(self.read(member))
        except DefusedXmlException as error:
            raise UnsafeInput(f"{member!r} in {self._name!r} declares entities: {type(error).__name__}") from None
        except (ParseError, ValueError, LookupError) as error:
            raise CorruptFile(f"{member!r} in {self._name!r} is not well formed: {error}") from None


def resolve(base: str, href: str) -> str:
    """A link inside an archive as a member's name, relative to the member that holds it."""
    parts: list[str] = []
    for part in (PurePosixPath(base).parent / unquote(href.split("#")[0])).parts:
        if part == "..":
            parts = parts[:-1]
        elif part != "/":
            parts.append(part)
    return "/".join(parts)
