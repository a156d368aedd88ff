"""The commands that work on documents."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import write_result
from coa.cli.flatten import flattened
from coa.cli.run import as_json, ask_all, carry_out, read_stdin, verify_all
from coa.errors import UsageError
from coa.textfile import there
from coa.types import Shot, Task

_ASK_HINT = 'Put the question last: coa ask book.txt "Who hid the letter?"'
_CLAIM_HINT = 'Put the claims last: coa verify book.txt "The letter was burnt."'


@flattened
def summarize(
    files: o.Files,
    options: o.ReadOptions,
    manner: o.Manner,
    tracing: o.Tracing,
    words: o.Words = None,
    focus: Annotated[str | None, typer.Option(help="What the summary should attend to.")] = None,
) -> None:
    """Summarise documents, with citations."""
    carry_out(Task(kind="summary", query=focus, words=words), files, options.settings(), manner, tracing)


@flattened
def ask(
    files: Annotated[list[str], typer.Argument(metavar="FILE... QUESTION", help="Files, then the question.")],
    options: o.ReadOptions,
    manner: o.Manner,
    tracing: o.Tracing,
    words: o.Words = None,
    questions: o.Questions = None,
    choices: o.Choices = None,
    yes_no: o.YesNo = False,
    retrieve: o.Retrieve = None,
    rounds: o.Rounds = None,
    shots: o.Shots = None,
    batch: o.Batch = None,
) -> None:
    """Answer a question about documents, with citations."""
    closed = ("yes", "no") if yes_no else _choices(choices)
    if questions is not None:
        if tracing.wanted:
            raise UsageError("answers to a file of questions are traced one by one", hint="Use coa trace RUN.")
        kind = Task(kind="qa", words=words, choices=closed, retrieve=retrieve, rounds=rounds, shots=_shots(shots))
        ask_all(files, questions, kind, options.settings(), manner, batch=1 if batch is None else batch)
        return
    if batch is not None:
        raise UsageError("one question is no batch", hint="Give --questions FILE.jsonl too.")
    *sources, question = files
    if not sources:
        what = "a question" if there(question) else "a document"
        raise UsageError(f"{what} is missing", hint=_ASK_HINT)
    task = Task(
        kind="qa", query=question, words=words, choices=closed, retrieve=retrieve, rounds=rounds, shots=_shots(shots)
    )
    if rounds is not None and tracing.wanted:
        raise UsageError("an answer with follow-up questions cannot be traced", hint="Leave --trace out, or --rounds.")
    carry_out(task, sources, options.settings(), manner, tracing)


@flattened
def verify(
    files: Annotated[list[str], typer.Argument(metavar="FILE CLAIM...", help="A file, then one claim or more.")],
    options: o.ReadOptions,
    manner: o.Manner,
    pair: Annotated[
        bool,
        typer.Option("--pair", help="Two claims of which one should be so: say which, and whether it is just one."),
    ] = False,
) -> None:
    """Say for each claim whether a document supports or contradicts it, with the evidence."""
    file, *claims = files
    if not claims:
        raise UsageError("a claim is missing", hint=_CLAIM_HINT)
    if not all(claim.strip() for claim in claims):
        raise UsageError("a claim is empty", hint=_CLAIM_HINT)
    if pair and len(claims) != 2:
        raise UsageError(f"a pair has two claims, not {len(claims)}", hint="coa verify book.txt A B --pair")
    verify_all(file, claims, options.settings(), manner, pair=pair)


def _shots(path: str | None) -> tuple[Shot, ...]:
    if path is None:
        return ()
    from coa.retrieval.iterate.shots import read_shots

    return read_shots(path)


def _choices(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return tuple(choice.strip() for choice in given.split("|" if "|" in given else ","))


def text(
    file: Annotated[str, typer.Argument(help="A file; - is standard input.")],
    output: o.Output = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Print the normalised text that all offsets refer to."""
    from coa.documents import STDIN, load

    document = load(read_stdin(), path=STDIN) if file == STDIN else load(file)
    write_result(as_json({**asdict(document.source), "text": document.text}) if json else document.text, output)
