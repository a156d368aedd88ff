"""The command that says which sentences of the source a claim rests on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coa.cli import options as o
from coa.cli.again import Watched, forgetting, keeping
from coa.cli.console import note, writable, write_result
from coa.cli.flatten import flattened
from coa.cli.run import account, as_json, read_stdin, watched
from coa.config import Settings
from coa.errors import UsageError
from coa.textfile import text_or_file

if TYPE_CHECKING:
    from coa.attribution.run import Traced
    from coa.attribution.trace import Trace, TraceOptions
    from coa.types import Answer


@flattened
def trace(
    options: o.RunOptions,
    shown: o.Shown,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A finished run, by its id.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="A source of the answer; may be repeated.")] = None,
    question: Annotated[str | None, typer.Option(help="The question that was answered.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer; @FILE reads it from a file.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=writable, help="Write the report as one HTML file.")
    ] = None,
    method: Annotated[str, typer.Option(help="auto, tracllm or contextcite.")] = "auto",
    scorer: Annotated[
        str, typer.Option(help="auto, logprobs, completions, ptrue, regenerate, support or hf:FOLDER.")
    ] = "auto",
    k: Annotated[int, typer.Option("-k", help="Sentences that one claim may be traced to.")] = 5,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    max_equivalents: Annotated[
        float, typer.Option(help="Full-context prompts whose tokens may be spent at most.")
    ] = 100.0,
    deletion: Annotated[
        int, typer.Option(help="Run the chain again without the best sentence, the best two, ... up to N.", metavar="N")
    ] = 0,
    forensic: Annotated[
        bool,
        typer.Option("--forensic", help="Look for orders to the model and conflicts, and ask again without them."),
    ] = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="Of a RUN: leave the agents out, as if the model had read the sentences.")
    ] = False,
) -> None:
    """Find the sentences of the source that each claim of an answer rests on."""
    from coa.attribution.trace import TraceOptions

    settings = options.settings()
    how = TraceOptions(
        method=method,
        scorer=scorer,
        k=k,
        seed=seed,
        max_equivalents=max_equivalents,
        forensic=forensic,
        deletion=deletion,
    )
    if run is not None:
        traced = _traced_run(run, settings, how, forgetting(settings), direct=direct, quiet=shown.quiet)
    elif source and question is not None and answer is not None:
        traced = _traced_text(source, question, text_or_file(answer), settings, how, quiet=shown.quiet)
    else:
        raise UsageError(
            "there is nothing to trace", hint="Give a RUN, or --source FILE --question TEXT --answer TEXT."
        )
    show_trace(traced, html, shown)


def _traced_run(
    run: str, settings: Settings, how: TraceOptions | None, kept: Watched, *, direct: bool, quiet: bool
) -> Traced:
    from coa.attribution.run import trace_run

    return watched(lambda emit: trace_run(run, settings, how, direct=direct, emit=kept(emit)), quiet)


def _traced_text(
    source: list[str], question: str, answer: str, settings: Settings, how: TraceOptions, *, quiet: bool
) -> Traced:
    from coa.attribution.run import trace_sources

    plain = forgetting(settings)
    return watched(
        lambda emit: trace_sources(source, question, answer, settings, how, emit=plain(emit), stdin=read_stdin), quiet
    )


def traced_answer(answer: Answer, settings: Settings, *, quiet: bool) -> Traced:
    """Trace the answer of a run that has just ended, by what the run has left of its limits."""
    from coa.questions import left_after

    left = left_after(settings, answer.usage)
    return _traced_run(answer.run_id, left, None, keeping(settings), direct=False, quiet=quiet)


def show_traced(answer: Answer, settings: Settings, shown: o.Shown, html: Path | None) -> None:
    """A result together with its trace: one JSON object, or the text and the trace below it."""
    from coa.attribution.report import trace_to_dict
    from coa.attribution.terminal import trace_to_text
    from coa.report import answer_to_dict, render_text

    traced = traced_answer(answer, settings, quiet=shown.quiet)
    found, documents = traced.trace, traced.documents
    _write_report(traced, html)
    if shown.json:
        write_result(as_json({**answer_to_dict(answer), "trace": trace_to_dict(found, documents)}), shown.output)
    else:
        write_result(f"{render_text(answer)}\n{trace_to_text(found, documents, color=_colored(shown))}", shown.output)
    if not shown.quiet:
        _account(found)
    account(answer, shown)


def show_trace(traced: Traced, html: Path | None, shown: o.Shown) -> None:
    """Write the report where one is wanted, print the result, and say what it cost."""
    from coa.attribution.report import trace_to_json
    from coa.attribution.terminal import trace_to_text

    found, documents = traced.trace, traced.documents
    _write_report(traced, html)
    write_result(
        trace_to_json(found, documents) + "\n"
        if shown.json
        else trace_to_text(found, documents, color=_colored(shown)),
        shown.output,
    )
    if not shown.quiet:
        _account(found)


def _write_report(traced: Traced, html: Path | None) -> None:
    from coa.attribution.page import trace_to_html

    if html is not None:
        write_result(trace_to_html(traced.trace, traced.documents), html)


def _colored(shown: o.Shown) -> bool:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return shown.output is None and not plain and sys.stdout is not None and sys.stdout.isatty()


def _account(found: Trace) -> None:
    search = found.search
    note(f"traced: {search.calls} calls, {search.equivalents:.2f} full-context prompts, run {found.run_id}")
