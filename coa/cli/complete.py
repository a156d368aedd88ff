"""`coa complete`: code for a place in a repository. Standard output carries the lines alone."""

from __future__ import annotations

from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.flatten import flattened
from coa.cli.run import carry_out


@flattened
def complete(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="The folder of a repository.")],
    options: o.ReadOptions,
    manner: o.Manner,
    file: Annotated[str, typer.Option(help="The file to write on: a path inside the repository.")],
    line: Annotated[int, typer.Option(help="The first line to write; it and all after it are not looked at.")],
    lines: Annotated[int, typer.Option(help="How many lines to write.")] = 1,
    files: Annotated[int, typer.Option(help="Other files to read, at most.")] = 20,
) -> None:
    """Write the next lines of a source file, with the rest of its repository in view."""
    from coa.code.completion import completion_task

    task = completion_task(repo, file=file, line=line, lines=lines, files=files)
    carry_out(task, [repo], options.settings(), manner)
