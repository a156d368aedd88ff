"""One writer a run: an advisory lock on a file, which the system releases when its owner dies, however it dies."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from coa.errors import RunLocked, StorageFailed
from coa.runtime.files import storage

_PATIENCE = 0.5
_STEP = 0.02
_OWNER_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds a lock, as it wrote itself into the file."""

    pid: int
    host: str

    def alive(self) -> bool:
        """Whether the process still runs; one on another machine is taken to."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _this_process() -> Owner:
    return Owner(pid=os.getpid(), host=socket.gethostname())


@contextmanager
def held(path: Path) -> Generator[None]:
    """Hold the lock of a run for as long as the block lasts.

    Raises:
        RunLocked: a live process holds it; the message names its pid.
        StorageFailed: the file cannot be made, or the file system knows no locks.
    """
    descriptor = _acquire(path)
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> int:
    give_up = time.monotonic() + _PATIENCE
    while True:
        with storage(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _try_lock(descriptor) and _is_at(descriptor, path):
                _sign(descriptor, path)
                return descriptor
            owner = _owner(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        # Who only looks holds the lock for an instant, and a new owner signs an instant after it has it.
        if (owner is not None and owner.alive()) or time.monotonic() > give_up:
            raise _locked(path, owner)
        time.sleep(_STEP)


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        import fcntl
    except ImportError:
        raise StorageFailed("runs cannot be locked on this system", hint="Run with --no-journal.") from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageFailed(
            f"the file system of the run directory knows no locks: {error.strerror}",
            hint="Choose a --run-dir on a local disk, or run with --no-journal.",
        ) from None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that was locked still stands there: its run may have been removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int, path: Path) -> None:
    owner = json.dumps(asdict(_this_process())).encode()
    with storage(path):
        os.pwrite(descriptor, owner.ljust(_OWNER_BYTES), 0)


def _owner(descriptor: int) -> Owner | None:
    try:
        return Owner(**json.loads(os.pread(descriptor, _OWNER_BYTES, 0)))
    except (ValueError, TypeError):
        return None


def _locked(path: Path, owner: Owner | None) -> RunLocked:
    if owner == _this_process():
        hint = "Wait for it, or give every caller a run_dir of its own, or journal=False."
        return RunLocked(f"run {path.parent.name!r} is at work in this process already", hint=hint)
    who = f"process {owner.pid} on {owner.host!r}" if owner is not None else "another process"
    return RunLocked(f"run {path.parent.name!r} belongs to {who}, which is still running")
