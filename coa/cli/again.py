"""A command kept in the folder of each run that it makes, so that `coa resume` can give it again whole.

One command may make many runs (a file of questions, several claims, a benchmark), or do more with a run than the run
itself knows (a trace of its answer). What was finished comes from the journals, as when a user gives it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from coa.config import ENV_PREFIX, Settings, default_run_dir
from coa.errors import InputChanged, RunNotFound, UsageError
from coa.events import Emit, Event, RunStarted
from coa.runtime.files import storage, write_atomically

if TYPE_CHECKING:
    from coa.cli.options import LimitOptions, Shown
    from coa.runtime.manifest import Manifest
    from coa.runtime.runs import Runs

_FILE = "command.json"
_WRITTEN_TO = frozenset({"-o", "--output", "--html", "--results"})
_RESULT_RESTS_ON = ("model", "base_url", "window", "topology", "order")
_OWN_INPUT = ("eval", "search")
"""Commands whose runs name no files of the user's as their documents; the files of the command are compared alone."""


Watched = Callable[[Emit], Emit]
"""Wraps a listener."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it was given.

    Attributes:
        arguments: All words after ``coa``.
        folder: Where it was given.
        files: The files that it names, with the SHA-256 of each.
        settings: What its result rests on, wherever it was set.
        first: The first run that it made: it kept the standard input.
    """

    arguments: list[str]
    folder: str
    files: dict[str, str]
    settings: dict[str, str]
    first: str


def keeping(settings: Settings) -> Watched:
    """Each run that starts gets a copy of this process's command, before its first call."""
    made: list[bytes] = []

    def keep(run_id: str, path: Path) -> None:
        made[:] = made or [_kept_form(_command(sys.argv[1:], settings, run_id))]
        write_atomically(path, made[0])

    return _at_start(settings, keep)


def forgetting(settings: Settings) -> Watched:
    """For a command whose only run can be resumed by itself: what an earlier command left with it goes."""

    def forget(_: str, path: Path) -> None:
        with storage(path):
            path.unlink(missing_ok=True)

    return _at_start(settings, forget)


def _at_start(settings: Settings, do: Callable[[str, Path], None]) -> Watched:
    def watched(emit: Emit) -> Emit:
        def listen(event: Event) -> None:
            if isinstance(event, RunStarted):
                do(event.run_id, _runs(settings).folder_of(event.run_id) / _FILE)
            emit(event)

        return listen if settings.journal else emit

    return watched


def kept(run: str, settings: Settings) -> tuple[Manifest, Command] | None:
    """The run, and the command that it is a part of; None if it stands for itself.

    Raises:
        RunNotFound: there is no such run, or what it kept cannot be read.
    """
    runs = _runs(settings)
    manifest = runs.get(run)
    try:
        data = (runs.folder(manifest) / _FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return manifest, Command(**json.loads(data))
    except (ValueError, TypeError):
        raise RunNotFound(
            f"what run {manifest.run_id!r} kept of its command is damaged", hint="Give the first command again."
        ) from None


def give(manifest: Manifest, command: Command, limits: LimitOptions, shown: Shown, html: Path | None = None) -> None:
    """Give a command again, from its folder and over the same files; options given now come after its own.

    Raises:
        InputChanged: a file is no longer what it was.
        UsageError: the folder is gone.
    """
    from coa.cli.main import app
    from coa.runtime.runs import Runs

    settings, more = limits.settings(), list(_words(limits, shown))
    more += ["--html", str(html.absolute())] if html is not None else []
    directory = (settings.run_dir or default_run_dir()).absolute()
    os.environ[ENV_PREFIX + "RUN_DIR"] = str(directory)
    os.environ.update({ENV_PREFIX + name.upper(): value for name, value in command.settings.items()})
    try:
        os.chdir(command.folder)
    except OSError:
        raise UsageError(
            f"the folder {command.folder!r} of the command is gone", hint="Give the first command again."
        ) from None
    runs = Runs(directory)
    with suppress(RunNotFound):
        manifest = runs.get(command.first)
    _check(manifest, command, runs)
    _stand_in_for_stdin(manifest, runs)
    sys.argv = ["coa", *_joined(command.arguments, more)]
    if code := app(sys.argv[1:], standalone_mode=False):
        raise typer.Exit(code)


def _command(arguments: Sequence[str], settings: Settings, first: str) -> Command:
    named = zip(["", *arguments], arguments, strict=False)
    paths = (Path(word.removeprefix("@")) for before, word in named if before not in _WRITTEN_TO)
    used = {name: getattr(settings, name) for name in _RESULT_RESTS_ON} | settings.method
    return Command(
        arguments=list(arguments),
        folder=str(Path.cwd()),
        files={str(path): digest for path in paths if (digest := _digest(path)) is not None},
        settings={name: str(value) for name, value in used.items() if value is not None},
        first=first,
    )


def _kept_form(command: Command) -> bytes:
    return json.dumps(asdict(command), ensure_ascii=False).encode("utf-8", "surrogateescape")


def _digest(path: Path) -> str | None:
    """None for what is no file: a question, an option, a folder."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _check(manifest: Manifest, command: Command, runs: Runs) -> None:
    for path, digest in command.files.items():
        if _digest(Path(path)) != digest:
            raise InputChanged(f"{path!r} is not what it was when run {manifest.run_id!r} began")
    if command.arguments[0] not in _OWN_INPUT:
        from coa.runtime.manifest import check_unchanged
        from coa.sources import load_sources

        documents, _ = asyncio.run(load_sources(manifest.sources, lambda: runs.stdin(manifest)))
        check_unchanged(manifest, documents)


def _stand_in_for_stdin(manifest: Manifest, runs: Runs) -> None:
    with suppress(RunNotFound):
        sys.stdin = io.TextIOWrapper(io.BytesIO(runs.stdin(manifest)), "utf-8")


def _words(limits: LimitOptions, shown: Shown) -> Iterator[str]:
    """Options as they are typed; paths stay the same wherever they are read from."""
    for group in (limits, shown):
        for each in fields(group):
            value = getattr(group, each.name)
            if value is not None and value is not False:
                yield "--" + each.name.replace("_", "-")
                if value is not True:
                    yield str(value.absolute() if isinstance(value, Path) else value)


def _joined(arguments: Sequence[str], more: Sequence[str]) -> list[str]:
    """All options before ``--``, where there is one: what stands behind it is no option."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:at], *more, *arguments[at:]]


def _runs(settings: Settings) -> Runs:
    from coa.runtime.runs import Runs

    return Runs(settings.run_dir or default_run_dir())
