"""The commands that write and check long documents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.run import PARTIAL, as_json, read_stdin, show, watched
from coa.errors import InputNotFound


@flattened
def write(
    brief: Annotated[str, typer.Argument(help="What to write; @FILE reads it from a file.")],
    options: o.RunOptions,
    manner: o.Manner,
    words: Annotated[int, typer.Option(help="Length to reach.")] = 2_000,
    source: Annotated[list[str] | None, typer.Option(help="A file or folder to write from; may be repeated.")] = None,
    outline: Annotated[Path | None, typer.Option(metavar="FILE", help="Follow this plan (YAML).")] = None,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Make the plan and print it as YAML.")] = False,
    style: Annotated[str, typer.Option(help="How it should read.")] = "",
    parallel: Annotated[int, typer.Option(help="Chapters in the making at once.")] = 4,
    method: Annotated[str, typer.Option(help="planned, or agentwrite for the published flow.")] = "planned",
) -> None:
    """Write a long document to a plan: -o book.md, .html, .docx, .epub or .pdf."""
    from coa.writing.export import export
    from coa.writing.plan import Outline
    from coa.writing.run import WriteOptions, forecast, outline_of
    from coa.writing.run import write as run_write

    settings, text = options.settings(), _brief(brief)
    plan = Outline.from_yaml(outline) if outline is not None else None
    how = WriteOptions(words=plan.words if plan else words, style=style, parallel=parallel, method=method, outline=plan)
    if manner.dry_run:
        from coa.cli.planning import render_plan

        write_result(render_plan(forecast(settings, how, len(source or ())), as_json=manner.json), manner.output)
        return
    if plan_only:
        made = asyncio.run(outline_of(text, settings, how))
        write_result(made.to_yaml(), manner.output)
        return
    answer = watched(
        lambda emit: run_write(text, settings, how, source or (), emit=emit, stdin=read_stdin), manner.quiet
    )
    if manner.output is not None and not manner.json:
        export(answer, manner.output)
        if not manner.quiet:
            note(f"{answer.status}: {answer.coverage.read} sections in {manner.output}, run {answer.run_id}")
        if answer.status == "partial":
            raise typer.Exit(PARTIAL)
        return
    show(answer, manner)


def check(
    file: Annotated[Path, typer.Argument(help="A text in Markdown.")],
    words: Annotated[int | None, typer.Option(help="Length that was asked for.")] = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Check a long text without a judge: length, structure, repetition, copies, cuts, residue of prompts."""
    from dataclasses import asdict

    from coa.writing.measure import check as run_check

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputNotFound(f"{str(file)!r} cannot be read as text") from None
    findings = run_check(text, words)
    if json:
        write_result(as_json({"findings": [asdict(finding) for finding in findings]}))
    else:
        write_result("".join(f"{each.check:<12} {each.where}: {each.value}\n" for each in findings) or "ok\n")
    if findings:
        raise typer.Exit(PARTIAL)


def _brief(brief: str) -> str:
    if not brief.startswith("@"):
        return brief
    try:
        return Path(brief[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputNotFound(f"{brief[1:]!r} cannot be read as text") from None
