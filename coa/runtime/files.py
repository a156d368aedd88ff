"""Files of a run directory: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from coa.errors import StorageFailed


@contextmanager
def storage(path: Path) -> Generator[None]:
    """Turn the system's refusals into one typed error."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file's content in one step: a crash leaves the old content or the new, never a part.

    Args:
        path: The file.
        data: Its new content.
        durable: Whether it must also survive a power cut; a killed process loses nothing either way.

    Raises:
        StorageFailed: the disk is full, or the directory cannot be written.
    """
    with storage(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


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
