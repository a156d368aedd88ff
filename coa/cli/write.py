"""The command that writes a long document, and how its result is delivered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.run import PARTIAL, ask_price, read_stdin, say_no_model, show, watched
from coa.cli.tree import outline_listener
from coa.config import Settings
from coa.errors import UsageError
from coa.textfile import text_or_file
from coa.types import Answer

if TYPE_CHECKING:
    from coa.writing.plan import Outline
    from coa.writing.run import WriteOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a text is to be: the options of a plan, and of what is written to it."""

    words: Annotated[int, typer.Option(help="Length to reach.")] = 2_000
    style: Annotated[str, typer.Option(help="How it should read.")] = ""
    lang: Annotated[str, typer.Option("--lang", help="The language to write in; the brief's where none is given.")] = ""
    parallel: Annotated[int, typer.Option(help="Chapters in the making at once.")] = 4

    def how(self) -> WriteOptions:
        """The same for `coa.writing.run`."""
        from coa.writing.run import WriteOptions

        return WriteOptions(words=self.words, style=self.style, language=self.lang, parallel=self.parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions(PlanOptions):
    """How a text is written: the plan's options, and those of writing to it."""

    memory: Annotated[str, typer.Option(help="What a section is told of its chapter: auto, full or rolling.")] = "auto"
    edits: Annotated[bool, typer.Option(help="Look over seams and contradictions at the end.")] = True
    method: Annotated[str, typer.Option(help="planned, or agentwrite for the published flow.")] = "planned"

    def to(self, plan: Outline | None) -> WriteOptions:
        """The same for `coa.writing.run`; the length of a plan that was given comes before ``--words``."""
        words = plan.words if plan else self.words
        return replace(self.how(), words=words, memory=self.memory, edits=self.edits, method=self.method, outline=plan)


@flattened
def write(
    wanted: TextOptions,
    options: o.RunOptions,
    manner: o.Manner,
    tracing: o.Tracing,
    brief: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What to write; @FILE reads it from a file.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="A file or folder to write from; may be repeated.")] = None,
    outline: Annotated[Path | None, typer.Option(metavar="FILE", help="Follow this plan (YAML).")] = None,
    series: Annotated[
        str | None, typer.Option(metavar="UNIT:COUNT:WORDS", help="Like parts in a row, such as station:120:80.")
    ] = None,
    must: Annotated[
        list[str] | None,
        typer.Option(help="A rule for the parts: 'every: a clock', 'once 7: a bridge', 'range 3-9: rain', ..."),
    ] = None,
) -> None:
    """Write a long document to a plan: -o book.md, .html, .docx, .epub or .pdf.

    Other verbs: coa write plan, status, redo, export, check (each with --help).
    """
    from coa.writing.export import check_format
    from coa.writing.run import write as run_write

    settings = options.settings()
    if manner.output is not None and not manner.json:
        check_format(manner.output.suffix.lower())
    if tracing.wanted and not source:
        raise UsageError("there is nothing to trace the text to", hint="Name what it is written from with --source.")
    tracing.check(settings)
    text, plan = _planned(brief, outline, series, must or [], wanted)
    how = wanted.to(plan)
    if not _agreed(settings, manner, how, len(source or ())):
        return
    answer = watched(
        lambda emit: run_write(text, settings, how, source or (), emit=emit, stdin=read_stdin),
        manner.quiet,
        outline_listener(manner.quiet),
    )
    if tracing.wanted:
        _deliver_traced(answer, settings, manner, tracing)
    else:
        deliver(answer, manner)


def _planned(
    brief: str | None, outline: Path | None, series: str | None, must: list[str], wanted: PlanOptions
) -> tuple[str, Outline | None]:
    """What to write about, and the plan that was given or that follows from a series and its rules."""
    from coa.writing.plan import Outline
    from coa.writing.series import series_outline

    plan = Outline.from_yaml(outline) if outline is not None else None
    text = text_or_file(brief) if brief is not None else plan.brief if plan is not None else None
    if text is None:
        raise UsageError("there is nothing to write about", hint='Say what to write: coa write "A guide to ..."')
    if series is None and not must:
        return text, plan
    if plan is not None:
        raise UsageError("--series and --must do not go with --outline", hint="Put series and rules in the plan.")
    return text, series_outline(text, series, must, style=wanted.style, language=wanted.lang)


def _agreed(settings: Settings, manner: o.Manner, how: WriteOptions, sources: int) -> bool:
    """Whether to go on: not where only the price was wanted."""
    from coa.writing.run import forecast

    if manner.dry_run:
        from coa.cli.planning import render_plan

        write_result(render_plan(forecast(settings, how, sources), as_json=manner.json), manner.output)
        return False
    say_no_model(settings, manner)
    ask_price(settings, manner, lambda: forecast(settings, how, sources))
    return True


@flattened
def plan(
    wanted: PlanOptions,
    options: o.RunOptions,
    shown: o.Shown,
    brief: Annotated[str, typer.Argument(metavar="PROMPT", help="What to write; @FILE reads it from a file.")],
) -> None:
    """Make the plan only and print it as YAML, to be edited and given to coa write --outline."""
    from coa.writing.run import outline_of

    how, settings = wanted.how(), options.settings()
    made = watched(lambda emit: outline_of(text_or_file(brief), settings, how, emit=emit), shown.quiet)
    write_result(made.model_dump_json() + "\n" if shown.json else made.to_yaml(), shown.output)


def _deliver_traced(answer: Answer, settings: Settings, shown: o.Manner, tracing: o.Tracing) -> None:
    """The text with its trace; where the text goes to a file, the trace alone goes to standard output."""
    from coa.cli.trace import show_trace, show_traced, traced_answer

    if shown.output is None or shown.json:
        show_traced(answer, settings, shown, tracing.html)
        return
    traced = traced_answer(answer, settings, quiet=shown.quiet)
    show_trace(traced, tracing.html, replace(shown, output=None))
    deliver(answer, shown)


def deliver(answer: Answer, shown: o.Shown) -> None:
    """Put a written text into a file of the format that its name asks for, or on standard output."""
    from coa.writing.export import export

    if shown.output is None or shown.json:
        show(answer, shown)
        return
    export(answer, shown.output)
    if not shown.quiet:
        note(
            f"{answer.status}: {answer.coverage.read} of {answer.coverage.chunks} sections in {str(shown.output)!r}, "
            f"run {answer.run_id}"
        )
    if answer.status == "partial":
        raise typer.Exit(PARTIAL)
