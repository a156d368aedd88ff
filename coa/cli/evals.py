"""`coa eval`: benchmarks with the official metrics, over files that the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coa.cli import options as o
from coa.cli.again import keeping
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.run import PARTIAL, as_json, say_no_model, watched

if TYPE_CHECKING:
    from coa.evals.run import Report


@flattened
def evaluate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="qmsum, niah, longproc-path, longbench-write, repobench or summhay.")
    ],
    options: o.ReadOptions,
    shown: o.Shown,
    data: Annotated[Path, typer.Option(help="The benchmark's own file, or a folder of them.")],
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Keep texts and scores; none is made again."),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Score these texts (key, text); no model is asked.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="The first N items only.")] = None,
) -> None:
    """Run a benchmark over its own data file and print the official scores."""
    from coa.evals.run import evaluate as run_evaluation

    settings = options.settings()
    if predictions is None and task != "summhay":
        say_no_model(settings, shown)
    kept = keeping(settings)
    report = watched(
        lambda emit: run_evaluation(
            task, data, settings, results=results, predictions=predictions, limit=limit, emit=kept(emit)
        ),
        shown.quiet,
    )
    write_result(as_json(report.to_dict()) if shown.json else _table(report), shown.output)
    for key in report.failed:
        note(f"failed, counted as zero: {key}")
    if report.failed or report.partial:
        raise typer.Exit(PARTIAL)


def _table(report: Report) -> str:
    rows = [(name, f"{score:.4f}{' *' if name == report.main else ''}") for name, score in report.scores.items()]
    cost = "unknown" if report.cost_usd is None else f"{report.cost_usd:.4f} USD"
    rows += [
        ("items", f"{report.items}, {len(report.failed)} failed, {report.partial} partial, {report.kept} kept"),
        ("setup", report.setup),
        (
            "spent",
            f"{report.calls} calls, {report.prompt_tokens:,} tokens in, {report.completion_tokens:,} out, {cost}",
        ),
    ]
    return "".join(f"{name:<11} {value}\n" for name, value in rows)
