"""`Folder`: what a person finds in the run directory of a text: request, plan, sections, what is to be done again.

The journal alone resumes a run; these files are there to be read, and to hold the wishes of `coa write redo`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from coa.errors import RunNotFound, UsageError
from coa.retrieval.terms import word_count
from coa.runtime.files import private_directory, storage, write_atomically
from coa.writing.author import Written
from coa.writing.editing import Edit
from coa.writing.options import WriteRequest
from coa.writing.plan import Outline, Section
from coa.writing.redo import Redo

State = Literal["planned", "done", "failed"]

_REQUEST, _PLAN, _REDO, _EDITS, _SECTIONS = (
    "request.json",
    "plan.yaml",
    "redo.json",
    "edits.json",
    "sections",
)
_REDOS: TypeAdapter[tuple[Redo, ...]] = TypeAdapter(tuple[Redo, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one leaf of the outline stands.

    Attributes:
        target: Words that the outline gives it.
        words: Words that it has.
    """

    id: str
    title: str
    target: int
    words: int = 0
    state: State = "planned"
    problem: str = ""


class Folder:
    """The files of a text in the making.

    Args:
        path: The folder; without one nothing is kept.
        keeps: Whether anything is written there; else it is only read.
    """

    def __init__(self, path: Path | None, *, keeps: bool = True) -> None:
        self._path, self._kept = path, path if keeps else None

    def begin(self, request: WriteRequest) -> None:
        """Keep what was asked for."""
        if self._kept is not None:
            write_atomically(self._kept / _REQUEST, request.to_json())

    def request(self) -> WriteRequest:
        """What was asked for.

        Raises:
            RunNotFound: it was not kept, or is damaged.
        """
        data = self._read(_REQUEST)
        if data is None:
            raise RunNotFound("the run kept no request", hint="Give the first command again.")
        return WriteRequest.from_json(data)

    def planned(self, outline: Outline) -> None:
        """Keep the outline."""
        if self._kept is not None:
            write_atomically(self._kept / _PLAN, outline.to_yaml().encode())

    def outline(self) -> Outline:
        """The outline.

        Raises:
            RunNotFound: there is none yet.
        """
        if self._path is None or not (self._path / _PLAN).exists():
            raise RunNotFound("the run has no outline yet", hint="Take it up first: coa resume RUN")
        return Outline.from_yaml(self._path / _PLAN)

    def keep(self, number: int, written: Written) -> None:
        """Keep a leaf, the ``number``-th of the outline: its text, and how it came out."""
        if self._kept is None:
            return
        stem = private_directory(self._kept / _SECTIONS) / f"{number:04}"
        state = {
            "id": written.section.id,
            "title": written.section.title,
            "state": "done" if written.text else "failed",
            "target": written.section.words,
            "words": word_count(written.text),
            "problem": written.problem,
            "warnings": list(written.warnings),
        }
        # The journal is what a run rests on: these two need not outlive a power cut.
        write_atomically(stem.with_suffix(".md"), f"{written.text}\n".encode(), durable=False)
        shown = json.dumps(state, ensure_ascii=False, indent=1).encode()
        write_atomically(stem.with_suffix(".json"), shown, durable=False)

    def edited(self, edits: Sequence[Edit]) -> None:
        """Keep the edits that were made at the end."""
        if self._kept is not None and edits:
            listed = json.dumps([asdict(edit) for edit in edits], ensure_ascii=False, indent=1)
            write_atomically(self._kept / _EDITS, listed.encode())

    def parts(self) -> list[Part]:
        """How each leaf of the outline stands.

        Raises:
            RunNotFound: there is no outline yet.
        """
        return [self._part(number, leaf) for number, leaf in enumerate(self.outline().leaves(), 1)]

    def redos(self) -> tuple[Redo, ...]:
        """What is to be written anew, in the order in which it was asked for.

        Raises:
            RunNotFound: the list is damaged.
        """
        data = self._read(_REDO)
        try:
            return () if data is None else _REDOS.validate_json(data)
        except ValidationError:
            raise RunNotFound(
                "the run's redo.json is damaged", hint="Delete the file; what it asked is lost."
            ) from None

    def ask_again(self, sections: Sequence[str], note: str) -> None:
        """Ask for leaves to be written anew.

        Raises:
            UsageError: no leaf has that id.
            RunNotFound: there is no outline yet.
        """
        known = [leaf.id for leaf in self.outline().leaves()]
        for section in sections:
            if section not in known:
                raise UsageError(
                    f"the outline has no section {section!r} to write",
                    hint="See the ids with `coa write status RUN`; a chapter is redone section by section.",
                )
        redos = (*self.redos(), *(Redo(section=section, note=note) for section in sections))
        assert self._path is not None
        write_atomically(self._path / _REDO, _REDOS.dump_json(redos, indent=1))

    def _part(self, number: int, leaf: Section) -> Part:
        planned = Part(id=leaf.id, title=leaf.title, target=leaf.words)
        data = self._read(f"{_SECTIONS}/{number:04}.json")
        try:
            kept: dict[str, Any] = json.loads(data) if data else {}
            if kept.get("id") != leaf.id:
                return planned
            return Part(
                id=leaf.id,
                title=leaf.title,
                target=leaf.words,
                words=int(kept["words"]),
                state="done" if kept["state"] == "done" else "failed",
                problem=str(kept["problem"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return planned

    def _read(self, name: str) -> bytes | None:
        if self._path is None:
            return None
        path = self._path / name
        with storage(path):
            return path.read_bytes() if path.exists() else None
