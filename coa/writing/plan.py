"""`Outline`: what is to be written, section by section, with budgets that sum to the target; edited as YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coa.errors import UsageError
from coa.textfile import read_text
from coa.writing.yaml_lines import line_of

LEAVES_A_CHAPTER = 8
FEWEST, MOST = 10, 1_200
"""Words that one call can be asked for."""


class _Wrong(ValueError):
    """A mistake, and the keys that lead to it."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


class Constraint(BaseModel):
    """A rule about units of a series, compiled by code: models lose track of "every third"."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["once", "range", "periodic", "every", "forbid"]
    text: str
    start: int = 1
    stop: int | None = None
    step: int = Field(default=1, ge=1)

    def units(self, count: int) -> list[int]:
        """The units, from 1, that must hold the text; ``once`` means ``start``, ranges include both ends.

        Raises:
            ValueError: it names a unit that does not exist.
        """
        stop = self.stop if self.stop is not None else count
        if not 1 <= self.start <= stop <= count:
            raise ValueError(f"{self.text!r} is meant for units {self.start} to {stop} of {count}")
        return {
            "once": [self.start],
            "range": list(range(self.start, stop + 1)),
            "periodic": list(range(self.start, stop + 1, self.step)),
            "every": list(range(1, count + 1)),
            "forbid": [],
        }[self.kind]


class Series(BaseModel):
    """Like parts in a row: 120 stations of 80 words each."""

    model_config = ConfigDict(extra="forbid")

    unit: str
    count: int = Field(ge=1, le=10_000)
    words_each: int = Field(ge=10, le=900)


class Section(BaseModel):
    """A chapter (with children) or a leaf (written by one call). ``words`` of children sum to the parent's.

    Attributes:
        depends_on: Ids of sections that must be written before.
        sources: Names or paths of the only documents that it may cite, it and what stands below it; none: all of them.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    goal: str = ""
    words: int = Field(ge=1)
    key_points: list[str] = []
    must_mention: list[str] = []
    never_mention: list[str] = []
    depends_on: list[str] = []
    sources: list[str] = []
    children: list[Section] = []

    def leaves(self) -> Iterator[Section]:
        """The leaves below, or the section itself, in reading order."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


class Outline(BaseModel):
    """A whole plan.

    Attributes:
        brief: What was asked for.
        words: The target; the sections' budgets sum to it.
        language: What it is written in; empty where that is the brief's.
        series: Like parts in a row, in place of ``sections``: they are made of it by code.
        rules: What the parts of the series must mention, or must not.
        sections: Chapters, or leaves where the text is short.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    brief: str
    words: int = Field(ge=1)
    style: str = ""
    language: str = ""
    series: Series | None = None
    rules: list[Constraint] = []
    sections: list[Section] = Field(min_length=1)

    def leaves(self) -> list[Section]:
        """All leaves in reading order."""
        return [leaf for section in self.sections for leaf in section.leaves()]

    def chapters(self) -> list[tuple[Section | None, list[Section]]]:
        """What is written in turn: each chapter with its leaves; leaves without a chapter in groups of eight."""
        groups: list[tuple[Section | None, list[Section]]] = []
        for section in self.sections:
            if section.children:
                groups.append((section, list(section.leaves())))
            elif groups and groups[-1][0] is None and len(groups[-1][1]) < LEAVES_A_CHAPTER:
                groups[-1][1].append(section)
            else:
                groups.append((None, [section]))
        return groups

    def waits(self) -> list[set[int]]:
        """For each of `chapters`, the numbers of those that must be written before it."""
        groups = self.chapters()
        home = {leaf.id: number for number, (_, leaves) in enumerate(groups) for leaf in leaves}
        found: list[set[int]] = []
        for number, (chapter, leaves) in enumerate(groups):
            named = {name for each in ([chapter] if chapter else leaves) for name in _named(each)}
            wanted = {home[leaf.id] for each in _walk(self.sections) if each.id in named for leaf in each.leaves()}
            found.append(wanted - {number})
        return found

    def builds_on(self) -> dict[str, list[str]]:
        """For each leaf, those of other chapters that must be written before it, in reading order."""
        place = {leaf.id: number for number, leaf in enumerate(self.leaves())}
        below = {each.id: [leaf.id for leaf in each.leaves()] for each in _walk(self.sections)}
        named = dict(_inherited(self.sections, frozenset()))
        found: dict[str, list[str]] = {}
        for _, leaves in self.chapters():
            own = {leaf.id for leaf in leaves}
            for leaf in leaves:
                wanted = {name for each in named[leaf.id] for name in below[each]} - own
                found[leaf.id] = sorted(wanted, key=lambda name: place[name])
        return found

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        """A series in place of sections is expanded by code."""
        if not isinstance(data, dict) or not cast("dict[str, Any]", data).get("series"):
            return cast("Any", data)
        given = dict(cast("dict[str, Any]", data))
        if given.get("sections"):
            return given
        series = Series.model_validate(given["series"])
        rules = [Constraint.model_validate(rule) for rule in given.get("rules") or ()]
        sections = compile_series(series, rules)
        return {**given, "sections": sections, "words": given.get("words") or series.count * series.words_each}

    @model_validator(mode="after")
    def _check(self) -> Outline:
        if (total := sum(section.words for section in self.sections)) != self.words:
            raise _Wrong(f"the sections have {total} words, the plan has {self.words}", "words")
        places = dict[str, tuple[str | int, ...]]()
        for path, section in _placed(self.sections, ("sections",)):
            if section.id in places:
                raise _Wrong(f"two sections have the id {section.id!r}", *path, "id")
            places[section.id] = path
            if section.children and (below := sum(child.words for child in section.children)) != section.words:
                message = f"section {section.id} has {section.words} words, its parts have {below}"
                raise _Wrong(message, *path, "words")
        everything = list(_walk(self.sections))
        for section in everything:
            if unknown := set(section.depends_on) - set(places):
                message = f"section {section.id} depends on {min(unknown)!r}, which does not exist"
                raise _Wrong(message, *places[section.id], "depends_on")
        _check_points(self.leaves(), places)
        _check_order(_edges(everything), places)
        waits = [(str(number), [str(other) for other in others]) for number, others in enumerate(self.waits())]
        homes = [(chapter or leaves[0]).id for chapter, leaves in self.chapters()]
        _check_order(waits, {str(number): places[home] for number, home in enumerate(homes)})
        return self

    def misfits(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Leaves that no call can write, with the keys that lead to them; a program's own plans may have them."""
        for path, section in _placed(self.sections, ("sections",)):
            if not section.children and not FEWEST <= section.words <= MOST:
                what = f"section {section.id} has {section.words} words"
                yield (*path, "words"), f"{what}: a section without parts has {FEWEST} to {MOST:,}"

    def to_yaml(self) -> str:
        """The plan as a person edits it."""
        import yaml

        data = self.model_dump(exclude_defaults=True)
        if self.series is not None and self.sections == compile_series(self.series, self.rules):
            del data["sections"]
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)

    @classmethod
    def from_yaml(cls, path: Path) -> Outline:
        """Read a plan.

        Raises:
            InputNotFound, InputUnreadable: as `coa.textfile.read_text`.
            UsageError: it is no YAML, or no valid plan; the message names file and line.
        """
        import yaml

        text = read_text(path)
        try:
            made = cls.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            mark: Any = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise UsageError(f"{path}:{line}: no valid YAML", hint="Check indentation and quotes there.") from None
        except ValidationError as error:
            first = error.errors()[0]
            cause = first.get("ctx", {}).get("error")
            where = cause.path if isinstance(cause, _Wrong) else first["loc"]
            line = line_of(path.read_text("utf-8"), where)
            message = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"{path}:{line}: {message}", hint="Mend the plan there and try again.") from None
        for where, message in made.misfits():
            raise UsageError(f"{path}:{line_of(text, where)}: {message}", hint="Give it parts, or other words.")
        return made


def _check_order(edges: Sequence[tuple[str, Sequence[str]]], places: Mapping[str, Sequence[str | int]]) -> None:
    """Whether each of these can come after what it depends on."""
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(dict(edges)).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        raise _Wrong(f"sections wait for one another: {' -> '.join(cycle)}", *places[cycle[0]]) from None


def compile_series(series: Series, constraints: Sequence[Constraint]) -> list[Section]:
    """One leaf a unit, each with the texts that its constraints ask for.

    Raises:
        ValueError: a constraint names a unit that does not exist.
    """
    wanted: dict[int, list[str]] = {}
    for constraint in constraints:
        for unit in constraint.units(series.count):
            wanted.setdefault(unit, []).append(constraint.text)
    forbidden = [each.text for each in constraints if each.kind == "forbid"]
    return [
        Section(
            id=str(i),
            title=f"{series.unit} {i}",
            words=series.words_each,
            must_mention=wanted.get(i, []),
            never_mention=forbidden,
        )
        for i in range(1, series.count + 1)
    ]


def _placed(
    sections: Sequence[Section], above: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Section]]:
    """Every section with the keys that lead to it."""
    for number, section in enumerate(sections):
        path = (*above, number)
        yield path, section
        yield from _placed(section.children, (*path, "children"))


def _walk(sections: Sequence[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _walk(section.children)


def _inherited(sections: Sequence[Section], above: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Each leaf with the ids that it, or a section that it stands in, depends on."""
    for section in sections:
        named = above | set(section.depends_on)
        if section.children:
            yield from _inherited(section.children, named)
        else:
            yield section.id, named


def _named(section: Section) -> Iterator[str]:
    for each in _walk([section]):
        yield from each.depends_on


def _edges(everything: Sequence[Section]) -> list[tuple[str, list[str]]]:
    """What must be written before what: the leaves of a section before those that depend on it."""
    leaves = {section.id: [leaf.id for leaf in section.leaves()] for section in everything}
    edges: dict[str, list[str]] = {}
    for section in everything:
        for leaf in leaves[section.id]:
            edges.setdefault(leaf, []).extend(below for name in section.depends_on for below in leaves[name])
    return list(edges.items())


def _check_points(leaves: Sequence[Section], places: Mapping[str, Sequence[str | int]]) -> None:
    owners: dict[str, str] = {}
    for leaf in leaves:
        for point in leaf.key_points:
            key = " ".join(point.lower().split())
            if owners.setdefault(key, leaf.id) != leaf.id:
                message = f"sections {owners[key]} and {leaf.id} both own the point {point!r}"
                raise _Wrong(message, *places[leaf.id], "key_points")
