"""`Job`: one document in the making, from the outline to the cited text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from coa.agents.fence import Fence, fence_for
from coa.config import Settings
from coa.documents import Document, LoadFailure
from coa.errors import MalformedReply
from coa.events import Emit, Planned, RunStarted, SectionDone, SectionStarted, StepDone
from coa.prompts import Prompts
from coa.retrieval.base import Retriever
from coa.retrieval.index import Index
from coa.retrieval.terms import word_count
from coa.serving.base import Model, is_offline
from coa.session import Door
from coa.types import Answer, Coverage, Evidence
from coa.writing.agentwrite import agentwrite
from coa.writing.author import Author, FindEvidence, Written
from coa.writing.editing import Edited, Editor
from coa.writing.evidence import digest, found_for, sources_of
from coa.writing.finish import Finished, finished
from coa.writing.folder import Folder
from coa.writing.language import expected_language
from coa.writing.memory import BRIEF_WORDS, brief_for_sections, memory_of
from coa.writing.options import WriteOptions
from coa.writing.plan import Outline, Section
from coa.writing.planner import Planner
from coa.writing.room import Room

FREE = Fence(token="0" * 16, tag="ref")
"""The fence where there are no sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One document in the making.

    Attributes:
        window: Tokens of prompt and reply together.
        found: Finds the evidence in place of an index of the documents.
        folder: Where a person can follow it.
        failures: Sources that could not be read.
    """

    brief: str
    options: WriteOptions
    documents: tuple[Document, ...]
    model: Model
    window: int
    settings: Settings
    caller: Door
    emit: Emit
    run_id: str
    folder: Folder
    found: Retriever | None = None
    failures: tuple[LoadFailure, ...] = ()

    async def run(self) -> Answer:
        """The document, or as much of it as the model would write.

        Raises:
            MalformedReply: the model gave no outline, or not one section.
            CoaError: any other of its tree.
        """
        if self.options.method == "agentwrite":
            done = self._steps(max(1, self.options.words // 500))
            text = await agentwrite(self.caller, Prompts(), self.brief, self.options.words, done=done)
            return self._answer(Finished(text=text, coverage=Coverage(chunks=1, read=1)))
        fence = fence_for(self.documents) if self.documents else FREE
        outline, evidence, cut = await self._planned(fence)
        self.folder.planned(outline)
        self.emit(Planned(title=outline.title, sections=_listed(outline.sections)))
        written = await self._written(self._author(outline, fence, evidence), outline)
        edited = await self._edited(outline, written, fence)
        self.folder.edited(edited.made)
        for number, (before, leaf) in enumerate(zip(written, edited.written, strict=True), 1):
            if leaf is not before:
                self.folder.keep(number, leaf)
        written = edited.written
        if not any(leaf.text for leaf in written):
            raise MalformedReply(f"no section could be written; the last one failed with {written[-1].problem}")
        offline = is_offline(self.model.name)
        made = finished(outline, written, self.documents, fence.tag, offline=offline, unloaded=self.failures)
        return self._answer(replace(made, warnings=(*cut, *made.warnings, *edited.warnings)))

    async def _planned(self, fence: Fence) -> tuple[Outline, dict[str, tuple[Evidence, ...]], list[str]]:
        """The outline, the evidence for each leaf, and what was cut of a brief that is too long."""
        options, offline = self.options, is_offline(self.model.name)
        if offline and options.outline is None:
            return *digest(self.brief, options.words, self.documents, fence.tag), []
        planner = Planner(
            call=self.caller,
            prompts=Prompts(),
            room=self._room,
            style=options.style,
            language=options.language,
            parallel=options.parallel,
        )
        outline = options.outline or await planner.plan(self.brief, options.words)
        cut = planner.warnings
        if not offline and brief_for_sections(outline.brief) != outline.brief:
            cut = [*cut, f"each section is told the first {BRIEF_WORDS} words of the brief, the planner more"]
        return outline, await self._evidence(outline, fence), cut

    async def _evidence(self, outline: Outline, fence: Fence) -> dict[str, tuple[Evidence, ...]]:
        if self.found is not None:
            return await found_for(outline, self.found, self.documents, fence.tag)
        if not self.documents:
            sources_of(outline, ())
            return {}
        with TemporaryDirectory() as folder:
            index = Index.create(folder)
            try:
                index.add(self.documents)
                return await found_for(outline, index, self.documents, fence.tag)
            finally:
                index.close()

    def _author(self, outline: Outline, fence: Fence, evidence: Mapping[str, tuple[Evidence, ...]]) -> Author:
        count = self._steps(len(outline.leaves()))
        numbers = {leaf.id: number for number, leaf in enumerate(outline.leaves(), 1)}

        def started(leaf: Section) -> None:
            self.emit(SectionStarted(id=leaf.id))

        def done(leaf: Written) -> None:
            self.folder.keep(numbers[leaf.section.id], leaf)
            self.emit(SectionDone(id=leaf.section.id, words=word_count(leaf.text), problem=leaf.problem))
            count()

        memory = memory_of(self.options.memory, outline, self.model, self.window, self.settings.prices)
        author = Author(
            call=self.caller,
            prompts=Prompts(),
            fence=fence,
            room=self._room,
            parallel=self.options.parallel,
            language=_language(outline),
            full=memory == "full",
            started=started,
            done=done,
        )
        return replace(author, evidence=_by_id(evidence)) if self.documents else author

    async def _written(self, author: Author, outline: Outline) -> list[Written]:
        """All leaves, those that were to be done again in the order in which it was asked for."""
        written = await author.write(outline)
        known = {leaf.section.id for leaf in written}
        for number, wish in enumerate(self.folder.redos(), 1):
            if wish.section in known:
                written = await author.again(outline, written, wish, number)
        return written

    async def _edited(self, outline: Outline, written: list[Written], fence: Fence) -> Edited:
        if not self.options.edits or is_offline(self.model.name):
            return Edited(written=written)
        editor = Editor(
            call=self.caller,
            prompts=Prompts(),
            fence=fence,
            room=self._room,
            parallel=self.options.parallel,
            also=frozenset(wish.section for wish in self.folder.redos()),
        )
        return await editor.edit(outline, written)

    @property
    def _room(self) -> Room:
        return Room(counter=self.model.counter, window=self.window)

    def _answer(self, made: Finished) -> Answer:
        return Answer(
            text=made.text,
            status="complete" if made.coverage.complete else "partial",
            run_id=self.run_id,
            model=self.model.name,
            documents=tuple(document.source for document in self.documents),
            citations=made.citations,
            coverage=made.coverage,
            usage=self.caller.usage,
            warnings=made.warnings,
        )

    def _steps(self, steps: int) -> Callable[[], None]:
        """Say how many steps there are; the result counts one more done."""
        self.emit(RunStarted(run_id=self.run_id, model=self.model.name, chunks=steps, steps=steps))
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.emit(StepDone(done=done, steps=max(done, steps), usage=self.caller.usage, outcome="written"))

        return count


def _by_id(evidence: Mapping[str, tuple[Evidence, ...]]) -> FindEvidence:
    def find(leaf: Section) -> tuple[Evidence, ...]:
        return evidence.get(leaf.id, ())

    return find


def _language(outline: Outline) -> str | None:
    said = [outline.title, *(text for leaf in outline.leaves() for text in (leaf.title, leaf.goal, *leaf.key_points))]
    return expected_language(outline.language, outline.brief, " ".join(said))


def _listed(sections: Sequence[Section], level: int = 1) -> tuple[tuple[str, int, str, int], ...]:
    rows: list[tuple[str, int, str, int]] = []
    for section in sections:
        rows.append((section.id, level, section.title, section.words))
        rows += _listed(section.children, level + 1)
    return tuple(rows)
