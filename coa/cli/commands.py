"""The commands that work on documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import write_result
from coa.cli.run import Manner, carry_out, settings_from
from coa.errors import UsageError
from coa.types import Task

_ASK_HINT = 'Put the question last: coa ask book.txt "Who hid the letter?"'


def summarize(
    files: o.Files,
    words: o.Words = None,
    focus: Annotated[str | None, typer.Option(help="What the summary should attend to.")] = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    window: o.Window = None,
    topology: o.Topology = None,
    order: o.Order = None,
    concurrency: o.Concurrency = None,
    retries: o.Retries = None,
    timeout: o.Timeout = None,
    max_cost: o.MaxCost = None,
    max_calls: o.MaxCalls = None,
    max_tokens: o.MaxTokens = None,
    deadline: o.Deadline = None,
    prices: o.Prices = None,
    run_dir: o.RunDir = None,
    no_journal: o.NoJournal = False,
    durable: o.Durable = False,
    output: o.Output = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Summarise documents, with citations."""
    settings = settings_from(
        no_journal,
        durable,
        model=model,
        base_url=base_url,
        window=window,
        topology=topology,
        order=order,
        concurrency=concurrency,
        retries=retries,
        timeout=timeout,
        max_cost=max_cost,
        max_calls=max_calls,
        max_tokens=max_tokens,
        deadline=deadline,
        prices=prices,
        run_dir=run_dir,
    )
    task = Task(kind="summary", query=focus, words=words)
    carry_out(task, files, settings, Manner(output=output, json=json, quiet=quiet, yes=yes, dry_run=dry_run))


def ask(
    files: Annotated[list[str], typer.Argument(metavar="FILE... QUESTION", help="Files, then the question.")],
    words: o.Words = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    window: o.Window = None,
    topology: o.Topology = None,
    order: o.Order = None,
    concurrency: o.Concurrency = None,
    retries: o.Retries = None,
    timeout: o.Timeout = None,
    max_cost: o.MaxCost = None,
    max_calls: o.MaxCalls = None,
    max_tokens: o.MaxTokens = None,
    deadline: o.Deadline = None,
    prices: o.Prices = None,
    run_dir: o.RunDir = None,
    no_journal: o.NoJournal = False,
    durable: o.Durable = False,
    output: o.Output = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    dry_run: o.DryRun = False,
    debug: o.Debug = False,
) -> None:
    """Answer a question about documents, with citations."""
    *sources, question = files
    if not sources:
        what = "a question" if Path(question).exists() else "a document"
        raise UsageError(f"{what} is missing", hint=_ASK_HINT)
    settings = settings_from(
        no_journal,
        durable,
        model=model,
        base_url=base_url,
        window=window,
        topology=topology,
        order=order,
        concurrency=concurrency,
        retries=retries,
        timeout=timeout,
        max_cost=max_cost,
        max_calls=max_calls,
        max_tokens=max_tokens,
        deadline=deadline,
        prices=prices,
        run_dir=run_dir,
    )
    task = Task(kind="qa", query=question, words=words)
    carry_out(task, sources, settings, Manner(output=output, json=json, quiet=quiet, yes=yes, dry_run=dry_run))


def text(
    file: Annotated[str, typer.Argument(help="A file; - is standard input.")],
    output: o.Output = None,
    debug: o.Debug = False,
) -> None:
    """Print the normalised text that all offsets refer to."""
    from coa.cli.run import read_stdin
    from coa.documents import STDIN, load

    document = load(read_stdin(), path=STDIN) if file == STDIN else load(file)
    write_result(document.text, output)
