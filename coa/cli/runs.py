"""The commands that look after runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from coa.cli import again
from coa.cli import options as o
from coa.cli.console import note, writable, write_result
from coa.cli.flatten import flattened
from coa.cli.run import as_json, show, watched
from coa.config import Settings, default_run_dir, load_settings
from coa.report import printable
from coa.types import Answer

if TYPE_CHECKING:
    from coa.api import Resumed

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]

runs = typer.Typer(help="List runs, newest first; `coa runs prune` deletes old ones.")


@runs.callback(invoke_without_command=True)
def list_runs(context: typer.Context, run_dir: o.RunDir = None, json: o.Json = False, debug: o.Debug = False) -> None:
    """List the runs of the run directory."""
    if context.invoked_subcommand is not None:
        return
    manifests = _runs(load_settings(run_dir=run_dir)).list()
    if json:
        write_result("".join(as_json(manifest.model_dump(mode="json")) for manifest in manifests))
        return
    lines = [
        f"{manifest.created:%Y-%m-%d %H:%M}  {manifest.status:<11}  {manifest.run_id}  {manifest.model}\n"
        for manifest in manifests
    ]
    write_result("".join(lines))
    if not lines:
        note("no runs yet")


@runs.command()
def prune(
    days: Annotated[float, typer.Option(min=0, help="Delete runs that began more than so many days ago.")] = 30.0,
    run_dir: o.RunDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Delete old runs; one that is at work is left alone."""
    removed = _runs(load_settings(run_dir=run_dir)).prune(timedelta(days=days))
    write_result(as_json({"removed": removed}) if json else "".join(f"{run_id}\n" for run_id in removed))


def show_run(run: RunId, run_dir: o.RunDir = None, json: o.Json = False, debug: o.Debug = False) -> None:
    """Show a run: what was asked, how it ended, every call."""
    all_runs = _runs(load_settings(run_dir=run_dir))
    manifest = all_runs.get(run)
    with all_runs.journal(manifest) as journal:
        calls = [
            {
                "seq": entry.seq,
                "role": entry.record.role,
                "outcome": type(entry.record.outcome).__name__.lower(),
                "prompt_tokens": getattr(entry.record.outcome, "prompt_tokens", 0),
                "completion_tokens": getattr(entry.record.outcome, "completion_tokens", 0),
                "seconds": entry.record.seconds,
            }
            for entry in journal.entries()
        ]
    if json:
        write_result(as_json({**manifest.model_dump(mode="json"), "calls": calls}))
        return
    head = [f"{name:<10} {_told(value)}" for name, value in manifest.model_dump(mode="json").items() if _told(value)]
    body = [
        f"{call['seq']:>5}  {call['role']:<8} {call['outcome']:<8} {call['prompt_tokens']:>7} in "
        f"{call['completion_tokens']:>6} out  {call['seconds']} s"
        for call in calls
    ]
    write_result("\n".join([*head, "", *body]) + "\n")


def _told(value: Any) -> str:
    """A value of a manifest for people: what says nothing is left out."""
    if isinstance(value, dict):
        entries = [(name, _told(each)) for name, each in cast("dict[str, Any]", value).items()]
        return ", ".join(f"{name}: {told}" for name, told in entries if told)
    if isinstance(value, list):
        return "; ".join(filter(None, map(_told, cast("list[Any]", value))))
    return "" if value is None else printable(str(value))


@flattened
def resume(
    run: RunId,
    options: o.LimitOptions,
    shown: o.Shown,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=writable, help="Of a trace: write the report too.")
    ] = None,
) -> None:
    """Take up a run where it stopped; finished calls are not paid again."""
    from coa import api

    settings = options.settings().model_copy(update={"model": None})
    if (part := again.kept(run, settings)) is not None:
        again.give(*part, options, shown, html)
        return
    _deliver(watched(lambda emit: api.resume(run, settings, emit=emit), shown.quiet), shown, html)


def _deliver(found: Resumed, shown: o.Shown, html: Path | None) -> None:
    """Print what a run gave as its own command does."""
    if isinstance(found, Answer):
        if found.run_id.startswith("write-"):
            from coa.cli.write import deliver

            return deliver(found, shown)
        return show(found, shown)
    from coa.attribution.run import Traced
    from coa.cli.aggregate import show_aggregation
    from coa.cli.trace import show_trace

    if isinstance(found, Traced):
        return show_trace(found, html, shown)
    return show_aggregation(found, shown)


def _runs(settings: Settings):
    from coa.runtime.runs import Runs

    return Runs(settings.run_dir or default_run_dir())
