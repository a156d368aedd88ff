"""`Runs`: the runs that a directory holds, one folder each: manifest, journal, answer, lock."""

from __future__ import annotations

import asyncio
import builtins
import json
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from coa.config import Settings, default_run_dir
from coa.errors import CoaError, Interrupted, LimitReached, RunLocked, RunNotFound
from coa.runtime.files import private_directory, storage, write_atomically
from coa.runtime.journal import Journal, MemoryJournal, SqliteJournal
from coa.runtime.lock import held, is_held
from coa.runtime.manifest import LENIENT, Manifest, RunStatus, manifest_bytes, read_manifest

Warn = Callable[[str], None]

_MANIFEST, _JOURNAL, _ANSWER, _LOCK, _STDIN = "manifest.json", "journal.db", "answer.json", "lock", "stdin"
_REQUEST = "request.json"
GIVE_AGAIN = "Give the first command, or call the first function, again: finished calls are kept."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that this process may write to."""

    manifest: Manifest
    journal: Journal
    folder: Path

    def finish(self, status: RunStatus, *, error: str | None = None, answer: str | None = None) -> None:
        """Write how the run ended, and its answer as JSON."""
        if answer is not None:
            write_atomically(self.folder / _ANSWER, answer.encode(*LENIENT))
        _write(self.folder, self.manifest.model_copy(update={"status": status, "error": error}))


class Runs:
    """The runs of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def open(
        self,
        manifest: Manifest,
        *,
        durable: bool = False,
        stdin: bytes | None = None,
        request: Mapping[str, Any] | None = None,
        warn: Warn = lambda _: None,
    ) -> Generator[OpenRun]:
        """Start the run of a manifest, or go on with it: one process at a time.

        Args:
            manifest: What is to be done; a run that goes on keeps the moment at which it was first begun.
            durable: The journal survives power loss too.
            stdin: What standard input held, to be kept so that the run can be resumed.
            request: What was asked for that the manifest does not say, as JSON, to be kept for the same reason.
            warn: Told of damage to the journal that was mended.

        Raises:
            RunLocked: another live process owns it.
            StorageFailed: the directory cannot be written.
            JournalCorrupt: its journal was written by a newer version.
        """
        folder = private_directory(self.folder_of(manifest.run_id))
        with held(folder / _LOCK):
            manifest = _begun(manifest, folder)
            if stdin is not None:
                write_atomically(folder / _STDIN, stdin)
            if request is not None:
                write_atomically(folder / _REQUEST, json.dumps(request, ensure_ascii=False).encode(*LENIENT))
            _write(folder, manifest)
            journal = SqliteJournal(folder / _JOURNAL, durable=durable, warn=warn)
            try:
                yield OpenRun(manifest=manifest, journal=journal, folder=folder)
            finally:
                journal.close()

    def list(self) -> builtins.list[Manifest]:
        """All runs, the newest first; folders that hold no readable manifest of their own are left out.

        A run that says it is running, but that no process holds, was killed: it is shown as interrupted.
        """
        found: builtins.list[Manifest] = []
        for path in self._directory.glob(f"*/{_MANIFEST}"):
            try:
                manifest = read_manifest(path)
            except RunNotFound:
                continue
            if manifest.run_id == path.parent.name:
                found.append(_now(manifest, path.parent))
        return sorted(found, key=lambda manifest: (manifest.created, manifest.run_id), reverse=True)

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
        return self.folder_of(manifest.run_id)

    def answer(self, manifest: Manifest) -> str:
        """The answer of a finished run, as JSON.

        Raises:
            RunNotFound: it has none yet.
        """
        try:
            return (self.folder(manifest) / _ANSWER).read_bytes().decode(*LENIENT)
        except OSError:
            raise RunNotFound(
                f"run {manifest.run_id!r} has no answer yet", hint=f"Finish it first: coa resume {manifest.run_id}"
            ) from None

    def stdin(self, manifest: Manifest) -> bytes:
        """What the run read from standard input.

        Raises:
            RunNotFound: it was not kept.
        """
        try:
            return (self.folder(manifest) / _STDIN).read_bytes()
        except OSError:
            raise RunNotFound(f"run {manifest.run_id!r} kept no standard input") from None

    def request(self, manifest: Manifest) -> Mapping[str, Any]:
        """What the run was asked for that its manifest does not say.

        Raises:
            RunNotFound: it was not kept, or is damaged.
        """
        try:
            kept = json.loads((self.folder(manifest) / _REQUEST).read_bytes().decode(*LENIENT))
        except (OSError, ValueError):
            kept = None
        if not isinstance(kept, dict):
            raise RunNotFound(
                f"run {manifest.run_id!r} kept nothing readable of what it was asked", hint=GIVE_AGAIN
            ) from None
        return cast("Mapping[str, Any]", kept)

    @contextmanager
    def journal(self, manifest: Manifest, *, warn: Warn = lambda _: None) -> Generator[Journal]:
        """The journal of a run, to be looked at; a process that is writing it is not disturbed.

        Raises:
            JournalCorrupt: it is damaged, or was written by a newer version.
        """
        path = self.folder(manifest) / _JOURNAL
        journal = SqliteJournal(path, readonly=True, warn=warn) if path.exists() else MemoryJournal()
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
        with held(folder / _LOCK), storage(folder):
            shutil.rmtree(folder)

    def prune(self, older_than: timedelta) -> builtins.list[str]:
        """Delete the runs that began longer ago than this, but none that is at work; return their ids."""
        limit = datetime.now(UTC) - older_than
        removed: builtins.list[str] = []
        for manifest in self.list():
            if manifest.created < limit:
                with suppress(RunLocked):
                    self.remove(manifest.run_id)
                    removed.append(manifest.run_id)
        return removed

    def folder_of(self, run_id: str) -> Path:
        """The folder of an id; an id is a name, never a path.

        Raises:
            RunNotFound: it is no id.
        """
        if run_id in ("", ".", "..") or Path(run_id).name != run_id or "\\" in run_id:
            raise RunNotFound(f"{run_id!r} is no run id")
        return self._directory / run_id


@contextmanager
def open_journal(
    manifest: Manifest,
    settings: Settings,
    *,
    stdin: bytes | None = None,
    request: Mapping[str, Any] | None = None,
    warn: Warn = lambda _: None,
) -> Generator[tuple[Journal, OpenRun | None]]:
    """The run's journal: on disk and locked, or in memory when the settings say so. How it failed is written down.

    Raises:
        RunLocked, StorageFailed, JournalCorrupt: as `Runs.open`.
    """
    if not settings.journal:
        yield MemoryJournal(), None
        return
    runs = Runs(settings.run_dir or default_run_dir())
    with runs.open(manifest, durable=settings.durable, stdin=stdin, request=request, warn=warn) as opened:
        try:
            yield opened.journal, opened
        except CoaError as error:
            stopped = isinstance(error, LimitReached)  # As its user wished: nothing is wrong with the run.
            opened.finish("interrupted" if stopped else "failed", error=f"{error.code}: {error.message}")
            raise
        except (asyncio.CancelledError, KeyboardInterrupt):
            opened.finish("interrupted", error=Interrupted.__name__)
            raise


def _begun(manifest: Manifest, folder: Path) -> Manifest:
    try:
        return manifest.model_copy(update={"created": read_manifest(folder / _MANIFEST).created})
    except RunNotFound:
        return manifest


def _now(manifest: Manifest, folder: Path) -> Manifest:
    if manifest.status != "running" or is_held(folder / _LOCK):
        return manifest
    return manifest.model_copy(update={"status": "interrupted", "error": "its process ended without a word"})


def _write(folder: Path, manifest: Manifest) -> None:
    write_atomically(folder / _MANIFEST, manifest_bytes(manifest))
