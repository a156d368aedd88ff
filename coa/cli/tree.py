"""The outline of a text as it is being written: words and target of each section, cost, time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coa.cli.progress import Bar, Quiet, listener, spent
from coa.events import Event, Planned, Retrying, SectionDone, SectionStarted, StepDone, Warned
from coa.report import printable
from coa.types import Usage

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_MARKS = {"": " ", "writing": "…", "done": "✓", "failed": "✗"}


@dataclass(slots=True)
class _Row:
    id: str
    level: int
    title: str
    target: int
    parent: int | None
    leaf: bool = True
    words: int = 0
    state: str = ""


class Tree(Bar):
    """A live outline on a terminal; what has no outline, such as a resumed start, shows nothing.

    Args:
        console: Where to draw; standard error by default.
        now: The clock, in seconds.
    """

    def __init__(self, console: Console | None = None, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console, self._now = console, now
        self._live: Live | None = None
        self._title, self._usage = "", Usage()
        self._rows: list[_Row] = []
        self._began = now()

    def __call__(self, event: Event) -> None:
        """Draw what has changed."""
        Quiet.__call__(self, event)
        match event:
            case Planned():
                self._plan(event)
            case SectionStarted(id=name):
                self._row(name).state = "writing"
            case SectionDone(id=name, words=words, problem=problem):
                row = self._row(name)
                row.words, row.state = words, "failed" if problem else "done"
            case StepDone(usage=usage):
                self._usage = usage
            case Retrying(reason=reason, wait=wait):
                self._say(f"waiting {wait:.1f} s: {reason}")
            case Warned(message=message):
                self._say(f"warning: {message}")
            case _:
                return
        if self._live is not None:
            self._live.update(self.render())

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """Chapters, and the sections of those that are being written."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, padding=(0, 1), title=Text(printable(self._title)))
        table.add_column(width=1)
        table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
        table.add_column(justify="right", no_wrap=True)
        for row in self._shown():
            words, state = self._sum(row)
            name = f"{'  ' * (row.level - 1)}{row.id}. {printable(row.title)}"
            table.add_row(_MARKS[state], Text(name), f"{words:,}/{row.target:,}")
        return Group(table, Text(self._account()))

    def _plan(self, event: Planned) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title, self._rows = event.title, []
        above: list[int] = []
        for name, level, title, words in event.sections:
            above = above[: level - 1]
            parent = above[-1] if above else None
            if parent is not None:
                self._rows[parent].leaf = False
            above.append(len(self._rows))
            self._rows.append(_Row(name, level, title, words, parent))
        if self._live is None:
            console = self._console or Console(stderr=True)
            self._live = Live(self.render(), console=console, refresh_per_second=4, transient=True)
            self._live.start()

    def _row(self, name: str) -> _Row:
        return next((row for row in self._rows if row.id == name), _Row(name, 1, name, 0, None))

    def _below(self, row: _Row) -> list[_Row]:
        """The leaves of a row, or itself."""
        if row.leaf:
            return [row]
        index = self._rows.index(row)
        return [leaf for child in self._rows if child.parent == index for leaf in self._below(child)]

    def _sum(self, row: _Row) -> tuple[int, str]:
        leaves = self._below(row)
        states = {leaf.state for leaf in leaves}
        state = "failed" if "failed" in states else states.pop() if len(states) == 1 else "writing"
        return sum(leaf.words for leaf in leaves), state

    def _shown(self) -> list[_Row]:
        """Top sections, and what stands below those that are at work."""
        tops = [(number, row) for number, row in enumerate(self._rows) if row.parent is None]
        busy = {number for number, row in tops if self._sum(row)[1] == "writing"}
        return [row for row in self._rows if row.parent is None or self._top(row) in busy]

    def _top(self, row: _Row) -> int:
        while row.parent is not None:
            row = self._rows[row.parent]
        return self._rows.index(row)

    def _account(self) -> str:
        leaves = [row for row in self._rows if row.leaf]
        words, target = sum(row.words for row in leaves), sum(row.target for row in leaves)
        ahead = sum(row.target for row in leaves if row.state in ("", "writing"))
        left = f", about {_time(ahead * (self._now() - self._began) / words)} left" if words and ahead else ""
        return f"{words:,} of {target:,} words, {spent(self._usage)}{left}"

    def _say(self, message: str) -> None:
        if self._live is not None:
            self._live.console.print(printable(message), markup=False)


def outline_listener(quiet: bool) -> Quiet:
    """A live outline where standard error is a terminal, lines elsewhere."""
    progress = listener(quiet)
    return Tree() if isinstance(progress, Bar) else progress


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
