"""`Runs`: the runs that a directory holds, one folder each: manifest, journal, answer, lock."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coa.errors import RunNotFound
from coa.runtime.files import private_directory, storage, write_atomically
from coa.runtime.journal import Journal, SqliteJournal
from coa.runtime.lock import held
from coa.runtime.manifest import Manifest, RunStatus, read_manifest

_MANIFEST, _JOURNAL, _ANSWER, _LOCK, _STDIN = "manifest.json", "journal.db", "answer.json", "lock", "stdin"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that this process may write to."""

    manifest: Manifest
    journal: Journal
    folder: Path

    def finish(self, status: RunStatus, *, error: str | None = None, answer: str | None = None) -> None:
        """Write how the run ended, and its answer as JSON."""
        if answer is not None:
            write_atomically(self.folder / _ANSWER, answer.encode())
        _write(self.folder, self.manifest.model_copy(update={"status": status, "error": error}))


class Runs:
    """The runs of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def open(self, manifest: Manifest, *, durable: bool = False, stdin: bytes | None = None) -> Generator[OpenRun]:
        """Start the run of a manifest, or go on with it: one process at a time.

        Raises:
            RunLocked: another live process owns it.
            StorageFailed: the directory cannot be written.
            JournalCorrupt: its journal is damaged.
        """
        folder = private_directory(self._directory / manifest.run_id)
        with storage(folder), held(folder / _LOCK):
            if stdin is not None:
                write_atomically(folder / _STDIN, stdin)
            _write(folder, manifest)
            journal = SqliteJournal(folder / _JOURNAL, durable=durable)
            try:
                yield OpenRun(manifest=manifest, journal=journal, folder=folder)
            finally:
                journal.close()

    def list(self) -> list[Manifest]:
        """All runs, the newest first; folders that hold no readable manifest are left out."""
        found: list[Manifest] = []
        for path in self._directory.glob(f"*/{_MANIFEST}"):
            try:
                found.append(read_manifest(path))
            except RunNotFound:
                continue
        return sorted(found, key=lambda manifest: manifest.created, reverse=True)

    def get(self, run_id: str) -> Manifest:
        """The run with this id, or with the only id that begins so.

        Raises:
            RunNotFound: there is none, or more than one.
        """
        matches = [manifest for manifest in self.list() if manifest.run_id.startswith(run_id)] if run_id else []
        exact = [manifest for manifest in matches if manifest.run_id == run_id]
        if len(exact or matches) != 1:
            what = "more than one run begins with" if matches else "there is no run"
            raise RunNotFound(f"{what} {run_id!r} in {str(self._directory)!r}")
        return (exact or matches)[0]

    def folder(self, manifest: Manifest) -> Path:
        """Where the run's files are."""
        return self._directory / manifest.run_id

    def stdin(self, manifest: Manifest) -> bytes:
        """What the run read from standard input.

        Raises:
            RunNotFound: it was not kept.
        """
        try:
            return (self.folder(manifest) / _STDIN).read_bytes()
        except OSError:
            raise RunNotFound(f"run {manifest.run_id!r} kept no standard input") from None

    @contextmanager
    def journal(self, manifest: Manifest) -> Generator[Journal]:
        """The journal of a run, to be looked at."""
        journal = SqliteJournal(self.folder(manifest) / _JOURNAL)
        try:
            yield journal
        finally:
            journal.close()

    def remove(self, run_id: str) -> None:
        """Delete a run, unless a live process owns it.

        Raises:
            RunNotFound: there is none.
            RunLocked: it is at work.
        """
        folder = self.folder(self.get(run_id))
        with storage(folder), held(folder / _LOCK):
            shutil.rmtree(folder)

    def prune(self, older_than: timedelta) -> list[str]:
        """Delete the runs that began longer ago than this; return their ids."""
        limit = datetime.now(UTC) - older_than
        old = [manifest.run_id for manifest in self.list() if manifest.created < limit]
        for run_id in old:
            self.remove(run_id)
        return old


def _write(folder: Path, manifest: Manifest) -> None:
    write_atomically(folder / _MANIFEST, manifest.model_dump_json(indent=2).encode())
