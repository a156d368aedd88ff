"""Progress on standard error: a bar on a terminal, a line now and then elsewhere. The plan fixes the denominator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from coa.cli.console import note, on_terminal
from coa.events import Event, Retrying, RunStarted, StepDone, Warned
from coa.report import printable
from coa.types import Usage

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_SECONDS = 5.0
_LINE_EVERY_SHARE = 0.1


class Quiet:
    """Shows nothing."""

    run_id: str | None = None

    def __call__(self, event: Event) -> None:
        """Remember the run's id, for the line that says how to resume."""
        if isinstance(event, RunStarted):
            self.run_id = event.run_id

    def close(self) -> None:
        """Nothing to close."""


class Lines(Quiet):
    """A line every tenth of the way or every few seconds."""

    def __init__(self) -> None:
        self._shown, self._at = 0.0, time.monotonic()

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        super().__call__(event)
        match event:
            case StepDone(done=done, steps=steps, usage=usage):
                now = time.monotonic()
                if (
                    done == steps
                    or done / steps - self._shown >= _LINE_EVERY_SHARE
                    or now - self._at >= _LINE_EVERY_SECONDS
                ):
                    self._shown, self._at = done / steps, now
                    note(f"step {done} of {steps}, {spent(usage)}")
            case Retrying(attempt=attempt, wait=wait, reason=reason):
                note(f"attempt {attempt} failed ({reason}); next in {wait:.1f} s")
            case Warned(message=message):
                note(f"warning: {message}")
            case _:
                pass


class Bar(Quiet):
    """A rich progress bar."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        super().__call__(event)
        match event:
            case RunStarted(steps=steps):
                self._start(steps)
            case StepDone(done=done, usage=usage) if self._progress is not None and self._task is not None:
                self._progress.update(self._task, completed=done, spent=spent(usage))
            case Retrying(reason=reason, wait=wait):
                self._say(f"waiting {wait:.1f} s: {reason}")
            case Warned(message=message):
                self._say(f"warning: {message}")
            case _:
                pass

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()

    def _say(self, message: str) -> None:
        if self._progress is not None:
            self._progress.console.print(printable(message), markup=False)

    def _start(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[spent]}"))
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("reading", total=steps, spent="")
        self._progress.start()


def listener(quiet: bool) -> Quiet:
    """The progress that fits where standard error goes."""
    if quiet:
        return Quiet()
    return Bar() if on_terminal() else Lines()


def spent(usage: Usage) -> str:
    """Tokens and money so far."""
    tokens = f"{usage.prompt_tokens + usage.completion_tokens:,} tokens"
    return tokens if not usage.cost_usd else f"{tokens}, {usage.cost_usd:.4f} USD"
