"""`Outline`: what is to be written, section by section, with budgets that sum to the target; edited as YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coa.errors import UsageError


class Constraint(BaseModel):
    """A rule about units of a series, compiled by code: models lose track of "every third"."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["once", "range", "periodic", "every", "forbid"]
    text: str
    start: int = 1
    stop: int | None = None
    step: int = Field(1, ge=1)

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
    """A chapter (with children) or a leaf (written by one call). ``words`` of children sum to the parent's."""

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    goal: str = ""
    words: int = Field(ge=1)
    key_points: list[str] = []
    depends_on: list[str] = []
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
        sections: Chapters, or leaves where the text is short.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    brief: str
    words: int = Field(ge=1)
    style: str = ""
    sections: list[Section] = Field(min_length=1)

    def leaves(self) -> list[Section]:
        """All leaves in reading order."""
        return [leaf for section in self.sections for leaf in section.leaves()]

    @model_validator(mode="after")
    def _check(self) -> Outline:
        everything = list(_walk(self.sections))
        ids = [section.id for section in everything]
        if len(set(ids)) < len(ids):
            raise ValueError(f"two sections have the id {next(i for i in ids if ids.count(i) > 1)!r}")
        if (total := sum(section.words for section in self.sections)) != self.words:
            raise ValueError(f"the sections have {total} words, the plan has {self.words}")
        for section in everything:
            if section.children and (below := sum(child.words for child in section.children)) != section.words:
                raise ValueError(f"section {section.id} has {section.words} words, its parts have {below}")
            if unknown := set(section.depends_on) - set(ids):
                raise ValueError(f"section {section.id} depends on {min(unknown)!r}, which does not exist")
        _check_points(self.leaves())
        in_order([(section.id, section.depends_on) for section in self.sections])
        return self

    def to_yaml(self) -> str:
        """The plan as a person edits it."""
        import yaml

        data = self.model_dump(exclude_defaults=True)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)

    @classmethod
    def from_yaml(cls, path: Path) -> Outline:
        """Read a plan.

        Raises:
            UsageError: it is no YAML, or no valid plan; the message names file and line.
        """
        import yaml

        try:
            text = path.read_text("utf-8")
            return cls.model_validate(yaml.safe_load(text))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{str(path)!r} cannot be read", hint="Give the path of a plan in YAML.") from error
        except yaml.YAMLError as error:
            mark: Any = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise UsageError(f"{path}:{line}: no valid YAML", hint="Check indentation and quotes there.") from None
        except ValidationError as error:
            first = error.errors()[0]
            line = _line_of(path.read_text("utf-8"), first["loc"])
            raise UsageError(f"{path}:{line}: {first['msg']}", hint="Mend the plan there and try again.") from None


def in_order(edges: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Names so that each comes after what it depends on.

    Raises:
        ValueError: there is a cycle.
    """
    from graphlib import CycleError, TopologicalSorter

    try:
        return list(TopologicalSorter(dict(edges)).static_order())
    except CycleError as error:
        raise ValueError(f"sections wait for one another: {' -> '.join(error.args[1])}") from None


def compile_series(series: Series, constraints: Sequence[Constraint]) -> list[Section]:
    """One leaf a unit, each with the texts that its constraints ask for.

    Raises:
        ValueError: a constraint names a unit that does not exist.
    """
    wanted: dict[int, list[str]] = {}
    for constraint in constraints:
        for unit in constraint.units(series.count):
            wanted.setdefault(unit, []).append(constraint.text)
    forbidden = "; ".join(each.text for each in constraints if each.kind == "forbid")
    goal = f"Do not mention: {forbidden}" if forbidden else ""
    return [
        Section(
            id=str(i),
            title=f"{series.unit} {i}",
            goal="; ".join([*wanted.get(i, ()), *([goal] if goal else [])]),
            words=series.words_each,
        )
        for i in range(1, series.count + 1)
    ]


def _walk(sections: Sequence[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _walk(section.children)


def _check_points(leaves: Sequence[Section]) -> None:
    owners: dict[str, str] = {}
    for leaf in leaves:
        for point in leaf.key_points:
            key = " ".join(point.lower().split())
            if owners.setdefault(key, leaf.id) != leaf.id:
                raise ValueError(f"sections {owners[key]} and {leaf.id} both own the point {point!r}")


def _line_of(text: str, path: Sequence[Any]) -> int:
    """The line of a value in a YAML document, as near as the path leads."""
    import yaml

    # PyYAML has no types: its nodes are handled as Any here and nowhere else.
    module: Any = yaml
    node: Any = module.compose(text, Loader=module.SafeLoader)
    for key in path:
        found = _child(node, key)
        if found is None:
            break
        node = found
    return int(node.start_mark.line) + 1 if node is not None else 1


def _child(node: Any, key: Any) -> Any:
    entries: Any = getattr(node, "value", None)
    if not isinstance(entries, list):
        return None
    if node.id == "mapping":
        return next((value for name, value in cast("list[tuple[Any, Any]]", entries) if name.value == key), None)
    items = cast("list[Any]", entries)
    return items[key] if isinstance(key, int) and key < len(items) else None
