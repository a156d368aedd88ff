"""Files written whole or not at all: those of a run directory, readable by their owner only, and the user's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from coa.errors import StorageFailed

_PRIVATE, _SHARED = 0o600, 0o666
"""Who may read a new file: its owner alone, or whom the process's umask lets."""
_OUTPUT_HINT = "Free some space, or name another file; then give the same command again: finished calls are kept."
_LONGEST = 50


@contextmanager
def storage(path: Path) -> Generator[None]:
    """Turn the system's refusals into one typed error."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def write_atomically(path: Path, data: bytes, *, durable: bool = True, mode: int = _PRIVATE) -> None:
    """Replace a file's content in one step: a crash leaves the old content or the new, never a part.

    Args:
        path: The file.
        data: Its new content.
        durable: Whether it must also survive a power cut; a killed process loses nothing either way.
        mode: Its permissions, before the umask.

    Raises:
        StorageFailed: the disk is full, or the directory cannot be written.
    """
    with storage(path):
        part = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(4)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named: whole or not at all, and for whom the umask lets.

    The file that a link leads to is replaced, not the link; what is no file (``/dev/null``, a pipe) is written to.

    Raises:
        StorageFailed: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with storage(path):
                path.write_bytes(data)
        else:
            write_atomically(path.resolve(), data, mode=_SHARED)
    except StorageFailed as error:
        raise StorageFailed(error.message, hint=_OUTPUT_HINT) from None


def private_file(path: Path) -> None:
    """Make an empty file that only its owner may read, unless it is there.

    Raises:
        StorageFailed: it cannot be made.
    """
    with storage(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner may enter.

    Raises:
        StorageFailed: it cannot be made.
    """
    with storage(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
