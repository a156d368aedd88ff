"""What the run that a text was exported from knows of it: its plan, its length, its sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coa.runtime.manifest import read_manifest
from coa.writing.folder import Folder
from coa.writing.plan import Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What was asked for."""

    outline: Outline | None = None
    words: int | None = None
    sources: tuple[str, ...] = ()


def origin_of(file: Path) -> Origin:
    """What is known of a file that lies in ``out`` of a run's folder, where `coa write export` puts it.

    Returns:
        Nothing for any other file.

    Raises:
        RunNotFound: the run's manifest is damaged.
        UsageError: the run's plan is no valid one.
    """
    folder = file.resolve().parent.parent
    manifest = folder / "manifest.json"
    if file.resolve().parent.name != "out" or not manifest.is_file():
        return Origin()
    known = read_manifest(manifest)
    planned = (folder / "plan.yaml").is_file()
    return Origin(
        outline=Folder(folder, keeps=False).outline() if planned else None,
        words=known.task.words,
        sources=tuple(dict.fromkeys(Path(source.path).name for source in known.documents)),
    )
