"""The verbs of `coa write`: a prompt writes; `plan`, `status`, `redo`, `export` and `check` look after texts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from coa.cli import options as o
from coa.cli import write as writing
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.run import PARTIAL, as_json, watched
from coa.cli.tree import outline_listener
from coa.config import Settings, default_run_dir, load_settings
from coa.errors import UsageError
from coa.runtime.manifest import Manifest
from coa.runtime.runs import Runs
from coa.textfile import read_text

if TYPE_CHECKING:
    from coa.writing.check import Report

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]
_PROMPT = "prompt"


class Verbs(TyperGroup):
    """A group whose first word may be a prompt: whatever is no verb is written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the hidden command that writes in front of a prompt, and of options alone."""
        if not args or args[0] not in self.commands or args[0] == _PROMPT:
            args = [_PROMPT, *args]
        return super().parse_args(ctx, args)


class Unnamed(TyperCommand):
    """The hidden command: help and errors speak of ``coa write``, which is what people type."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """A context that has no name of its own."""
        return super().make_context(None, args, parent, **extra)


write = typer.Typer(cls=Verbs, help="Write a long document to a plan.", add_help_option=False)
write.command(_PROMPT, cls=Unnamed, hidden=True)(writing.write)
write.command("plan")(writing.plan)


@write.command()
def status(run: RunId, run_dir: o.RunDir = None, json: o.Json = False, debug: o.Debug = False) -> None:
    """Show how far a text is: each section with its words and its target."""
    from coa.writing.folder import Folder

    runs, manifest = _found(run, load_settings(run_dir=run_dir))
    folder = Folder(runs.folder(manifest))
    parts, title = folder.parts(), folder.outline().title
    done, words = sum(part.state == "done" for part in parts), sum(part.words for part in parts)
    if json:
        found = {"run_id": manifest.run_id, "status": manifest.status, "title": title, "words": words}
        write_result(as_json({**found, "sections": [asdict(part) for part in parts]}))
        return
    rows = [
        f"{part.id:<8} {part.state:<8} {part.words:>6}/{part.target:<6} {part.title}"
        + (f"  ({part.problem})" if part.problem else "")
        for part in parts
    ]
    head = f"{title}: {manifest.status}, {done} of {len(parts)} sections, {words:,} words"
    write_result("\n".join([head, "", *rows]) + "\n")


@write.command()
@flattened
def redo(
    options: o.LimitOptions,
    shown: o.Shown,
    run: RunId,
    section: Annotated[list[str], typer.Argument(metavar="SECTION...", help="Ids, such as 3.2; see status.")],
    note: Annotated[str, typer.Option("--note", help="What is to be different.")] = "",
) -> None:
    """Write sections of a text anew; all the others stay as they are."""
    from coa.writing.run import redo as run_redo

    settings = options.settings().model_copy(update={"model": None})
    answer = watched(
        lambda emit: run_redo(run, section, note, settings, emit=emit), shown.quiet, outline_listener(shown.quiet)
    )
    writing.deliver(answer, shown)


@write.command()
def export(
    run: RunId,
    format: Annotated[str, typer.Option("--format", help="md, html, docx, epub, pdf; several with commas.")] = "md",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="NAME", help="Files are named NAME.md, NAME.html, ...")
    ] = None,
    run_dir: o.RunDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Put a written text into files; without -o they come into the run's own folder."""
    from coa.report import answer_from_json
    from coa.runtime.files import private_directory
    from coa.writing.export import FORMATS
    from coa.writing.export import export as run_export

    suffixes = [f".{name.strip().lstrip('.').lower()}" for name in format.split(",") if name.strip()]
    if unknown := [suffix for suffix in suffixes if suffix not in FORMATS]:
        raise UsageError(f"{unknown[0][1:]!r} is no format to write", hint=f"Choose of: {', '.join(FORMATS)}.")
    runs, manifest = _found(run, load_settings(run_dir=run_dir))
    answer = answer_from_json(runs.answer(manifest))
    base = output or private_directory(runs.folder(manifest) / "out") / "text"
    paths = [base.with_name(base.name.removesuffix(suffix) + suffix) for suffix in suffixes]
    for path in paths:
        run_export(answer, path)
        if not json:
            write_result(f"{path}\n")
    if json:
        write_result(as_json({"run_id": manifest.run_id, "status": answer.status, "files": list(map(str, paths))}))
    if answer.status == "partial":
        note(f"partial: {len(answer.coverage.failed)} sections could not be written")
        raise typer.Exit(PARTIAL)


def check(
    file: Annotated[Path, typer.Argument(help="A text in Markdown.")],
    words: Annotated[int | None, typer.Option(help="Length that was asked for.")] = None,
    outline: Annotated[Path | None, typer.Option(metavar="FILE", help="The plan that it should follow.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A document that it should cite; may be repeated.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Measures likeness to the plan: minilm, or a model's folder; else rare words.")
    ] = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Check a long text without a judge: length, structure, repetition, copies, cuts, citations, spelling, its plan.

    A text that `coa write export` put into its run's folder is checked against the run's plan, length and sources.
    """
    from coa.session import measure_of
    from coa.writing.check import check as run_check
    from coa.writing.origin import origin_of
    from coa.writing.plan import Outline

    text = read_text(file)
    known = origin_of(file)
    report = run_check(
        text,
        words or known.words,
        Outline.from_yaml(outline) if outline is not None else known.outline,
        sources=[Path(name).name for name in source] if source else known.sources,
        measure=measure_of(embedder) if embedder else None,
        likeness=embedder or "",
    )
    findings = report.findings
    if json:
        write_result(as_json(asdict(report)))
    else:
        write_result(_likenesses(report))
        write_result("".join(f"{each.check:<12} {each.where}: {each.value}\n" for each in findings) or "ok\n")
    if any(finding.fails for finding in findings):
        raise typer.Exit(PARTIAL)


write.command("check")(check)


def _likenesses(report: Report) -> str:
    """How far the text follows its plan, and what that was measured with; empty without a plan."""
    names = ("adherence_1", "keypoint_recall", "heading_soft_recall")
    values = ", ".join(f"{name} {report.measures[name]:g}" for name in names if name in report.measures)
    return f"plan: {values} (likeness: {report.likeness})\n" if values else ""


def _found(run: str, settings: Settings) -> tuple[Runs, Manifest]:
    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run)
    if manifest.task.kind != "write":
        raise UsageError(f"run {manifest.run_id!r} wrote no text", hint="See the runs with `coa runs`.")
    return runs, manifest
