"""The command that says which sentences of the source a claim rests on."""

from __future__ import annotations

import asyncio
import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.progress import listener
from coa.cli.run import read_stdin
from coa.config import Settings, default_run_dir
from coa.errors import UsageError

_SUMMARY_QUESTION = "What does the document say?"


@flattened
def trace(
    options: o.RunOptions,
    shown: o.Shown,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A finished run, by its id.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="A source of the answer; may be repeated.")] = None,
    question: Annotated[str | None, typer.Option(help="The question that was answered.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer; @FILE reads it from a file.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file.")] = None,
    method: Annotated[str, typer.Option(help="auto, tracllm or contextcite.")] = "auto",
    scorer: Annotated[str, typer.Option(help="auto, logprobs, regenerate, support or hf:FOLDER.")] = "auto",
    k: Annotated[int, typer.Option("-k", help="Sentences that one claim may be traced to.")] = 5,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    max_equivalents: Annotated[
        float, typer.Option(help="Full-context prompts whose tokens may be spent at most.")
    ] = 100.0,
) -> None:
    """Find the sentences of the source that each claim of an answer rests on."""
    from coa.attribution.report import trace_to_html, trace_to_json, trace_to_text
    from coa.attribution.trace import TraceOptions
    from coa.attribution.trace import trace as run_trace
    from coa.session import load_sources

    settings = options.settings()
    if run is not None:
        settings, source, question, answer = _of_run(run, settings)
    if not source or question is None or answer is None:
        raise UsageError(
            "there is nothing to trace", hint="Give a RUN, or --source FILE --question TEXT --answer TEXT."
        )
    text = Path(answer[1:]).read_text("utf-8") if answer.startswith("@") else answer
    how = TraceOptions(method=method, scorer=scorer, k=k, seed=seed, max_equivalents=max_equivalents)
    progress = listener(shown.quiet)

    async def work():
        documents, failures = await load_sources(source, read_stdin)
        if failures:
            raise failures[0].error
        return documents, await run_trace(question, text, documents, settings, how, emit=progress)

    try:
        documents, traced = asyncio.run(work())
    finally:
        progress.close()
    if html is not None:
        write_result(trace_to_html(traced, documents), html)
    write_result(
        trace_to_json(traced, documents) + "\n" if shown.json else trace_to_text(traced, documents), shown.output
    )
    if not shown.quiet:
        search = traced.search
        note(f"{search.calls} calls, {search.equivalents:.1f} full-context prompts, run {traced.run_id}")


def _of_run(run: str, settings: Settings) -> tuple[Settings, list[str], str, str]:
    """Sources, question and answer of a finished run, and its model where none is named."""
    from coa.runtime.runs import Runs

    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run)
    if "-" in manifest.sources or manifest.task.kind in ("trace", "write"):
        raise UsageError(
            f"run {manifest.run_id!r} cannot be traced",
            hint="Give --source FILE --question TEXT --answer TEXT instead.",
        )
    same = settings.model_copy(
        update={
            "model": settings.model or manifest.model,
            "base_url": settings.base_url or manifest.base_url,
            "window": settings.window or manifest.window,
        }
    )
    text = str(jsonlib.loads(runs.answer(manifest))["text"])
    return same, list(manifest.sources), manifest.task.query or _SUMMARY_QUESTION, text
