"""`Manifest`: what a run directory says about its run, enough to carry the run on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from coa import __version__
from coa.config import Settings
from coa.errors import InputChanged, RunNotFound, UsageError
from coa.serving.base import Model
from coa.types import Source, Task

LENIENT = ("utf-8", "surrogatepass")
"""How the files of a run hold text: a file's name, or a question, may have bytes that are no text."""

RunStatus = Literal["running", "complete", "partial", "failed", "interrupted"]
_UNSAFE = re.compile(r"[^\w.-]+")


class Manifest(BaseModel):
    """One run: what was asked, of which documents, with which model, and how far it came."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    created: datetime
    version: str
    task: Task
    sources: tuple[str, ...]
    documents: tuple[Source, ...]
    model: str
    base_url: str | None
    window: int
    topology: str
    order: str
    method: dict[str, Any] = {}
    status: RunStatus = "running"
    error: str | None = None


def run_id_of(task: Task, documents: Sequence[Source], *, settings: Sequence[str]) -> str:
    """The id of a run follows from what determines its result, so that the same command finds its run again."""
    content = "\n".join(
        [
            task.kind,
            task.query or "",
            str(task.words),
            *([str(task.place)] if task.place else []),
            *([repr(task.choices)] if task.choices else []),
            *([repr(task.batch)] if task.batch else []),
            *([f"retrieve {task.retrieve}"] if task.retrieve else []),
            *([f"rounds {task.rounds} {task.shots!r}"] if task.rounds is not None else []),
            *(f"{source.id} {source.sha256}" for source in documents),
            *settings,
        ]
    )
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    name = _UNSAFE.sub("_", documents[0].id)[:40] if documents else "run"
    verb = {"summary": "summarize", "qa": "ask"}.get(task.kind, task.kind)
    return f"{verb}-{name}-{digest}"


def new_manifest(
    task: Task,
    sources: Sequence[str],
    documents: Sequence[Source],
    *,
    model: str,
    base_url: str | None,
    window: int,
    topology: str,
    order: str,
    method: Mapping[str, Any] | None = None,
    details: str = "",
) -> Manifest:
    """The manifest of a run that starts now.

    ``method`` is what of `coa.config.Settings` else determines its result, ``details`` what is not a setting.
    """
    method = dict(method or {})
    told = [f"{name} {value}" for name, value in sorted(method.items())] + ([details] if details else [])
    settings = (model, base_url or "", str(window), topology, order, *told)
    return Manifest(
        run_id=run_id_of(task, documents, settings=settings),
        created=datetime.now(UTC),
        version=__version__,
        task=task,
        sources=tuple(sources),
        documents=tuple(documents),
        model=model,
        base_url=base_url,
        window=window,
        topology=topology,
        order=order,
        method=method,
    )


def carried_on(manifest: Manifest, settings: Settings, model: Model | None) -> Settings:
    """The settings that a run is taken up with: its own model and window, the caller's limits.

    Raises:
        UsageError: the caller names another model than the run's.
    """
    if (model.name if model is not None else settings.model) not in (None, manifest.model):
        raise UsageError(
            f"run {manifest.run_id!r} was begun with the model {manifest.model!r}",
            hint="Resume it without --model, or give the first command again with the new model.",
        )
    address = settings.base_url or manifest.base_url
    return settings.model_copy(update={"model": manifest.model, "base_url": address, "window": manifest.window})


class Fingerprinted(Protocol):
    """A document, or what is known of one."""

    @property
    def id(self) -> str:
        """Its name within the run."""
        ...

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        ...


def check_unchanged(manifest: Manifest, documents: Iterable[Fingerprinted]) -> None:
    """Check that a run's documents are what they were.

    Raises:
        InputChanged: one is not.
    """
    now = {document.id: document.sha256 for document in documents}
    for source in manifest.documents:
        if now.get(source.id) != source.sha256:
            raise InputChanged(f"{source.path!r} is not what it was when run {manifest.run_id!r} began")


def manifest_bytes(manifest: Manifest) -> bytes:
    """A manifest as its file holds it."""
    return json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=2).encode(*LENIENT)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        RunNotFound: there is none, or it cannot be read.
    """
    try:
        return Manifest.model_validate(json.loads(path.read_bytes().decode(*LENIENT)))
    except OSError:
        raise RunNotFound(f"no run {path.parent.name!r}") from None
    except (ValueError, RecursionError):
        raise RunNotFound(f"the manifest of run {path.parent.name!r} is damaged") from None
