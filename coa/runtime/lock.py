"""One writer a run: an advisory lock on a file, which the system releases when its owner dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from coa.errors import RunLocked


@contextlib.contextmanager
def held(path: Path) -> Generator[None]:
    """Hold the lock of a run for as long as the block lasts.

    Raises:
        RunLocked: a live process holds it; the message names its pid.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        raise RunLocked(f"run {path.parent.name!r} belongs to process {owner}, which is still running") from None
