"""The entry point: one place where errors become a line, a hint and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

import typer

from coa import __version__
from coa.cli import aggregate as aggregating
from coa.cli import commands, indexing, runs, writing
from coa.cli import complete as completing
from coa.cli import evals as evaluating
from coa.cli import options as o
from coa.cli import search as searching
from coa.cli import serve as answering
from coa.cli import trace as tracing
from coa.cli import vllm as local
from coa.cli.console import note, write_result
from coa.cli.run import as_json
from coa.config import load_settings
from coa.errors import CoaError, UsageError

if TYPE_CHECKING:
    from coa.cli.doctor import Finding

_PLANNED = ("summarize", "ask", "complete", "aggregate", "verify", "write", "search")

app = typer.Typer(
    name="coa",
    help="Read, question and summarise documents that are longer than a model's window.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(commands.summarize)
app.command()(commands.ask)
app.command()(completing.complete)
app.command()(aggregating.aggregate)
app.command()(commands.verify)
app.command()(commands.text)
app.command("eval")(evaluating.evaluate)
app.command()(indexing.index)
app.command()(searching.search)
app.command()(tracing.trace)
app.command()(writing.check)
app.command()(answering.serve)
app.command()(local.vllm)
app.command("show")(runs.show_run)
app.command()(runs.resume)
app.add_typer(writing.write, name="write")
app.add_typer(runs.runs, name="runs")


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Read, question and summarise documents that are longer than a model's window."""
    if version:
        write_result(f"coa {__version__}\n")
        raise typer.Exit


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def plan(context: typer.Context) -> None:
    """Show what a command would cost before anything is sent: coa plan summarize book.txt."""
    if not context.args or context.args[0] not in _PLANNED:
        raise UsageError(
            f"{context.args[0]!r} has no plan" if context.args else "a command is missing",
            hint=f"Name one of {', '.join(_PLANNED)}, with its arguments: coa plan summarize book.txt",
        )
    app([*context.args, "--dry-run"], standalone_mode=False)


@app.command()
def doctor(
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    run_dir: o.RunDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Check keys, endpoint, tokenizer, extras and disk, and say how to mend what does not work."""
    from coa.cli.doctor import findings, line_of

    found: list[Finding] = []
    for finding in findings(load_settings(model=model, base_url=base_url, run_dir=run_dir)):
        found.append(finding)
        if not json:
            write_result(line_of(finding))
    if json:
        write_result(as_json({"findings": [asdict(finding) for finding in found]}))
    if any(finding.broken for finding in found):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    as_json = "--json" in arguments
    try:
        sys.exit(app(standalone_mode=not as_json))  # Standing alone, typer prints what it refuses, as text, and exits.
    except CoaError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        _complain(error, as_json=as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except typer.Abort:
        note("Aborted!")
        sys.exit(1)
    except Exception as error:
        if isinstance(error, _Refused):
            _complain(_of_refused(error), as_json=as_json)
            sys.exit(UsageError.exit_code)
        if "--debug" in arguments:
            raise
        note(f"error: unexpected {type(error).__name__}\nhint: run it again with --debug and report what you see")
        sys.exit(1)


@runtime_checkable
class _Refused(Protocol):
    """What typer raises for an option, an argument or a value that it does not take; the class has no public name."""

    ctx: typer.Context | None

    def format_message(self) -> str: ...


def _of_refused(error: _Refused) -> UsageError:
    command = error.ctx.command_path if error.ctx is not None else "coa"
    return UsageError(error.format_message(), hint=f"See `{command} --help`.")


def _complain(error: CoaError, *, as_json: bool) -> None:
    if as_json:
        note(
            json.dumps(
                {"error": {"code": error.code, "message": error.message, "hint": error.hint}}, ensure_ascii=False
            )
        )
    else:
        note(f"error: {error.message}\nhint: {error.hint}")
