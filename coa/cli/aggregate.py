"""`coa aggregate`: records out of documents, and what code makes of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from coa.cli import options as o
from coa.cli.again import forgetting
from coa.cli.console import write_result
from coa.cli.flatten import flattened
from coa.cli.run import account, as_json, read_stdin, say_no_model, watched
from coa.errors import UsageError

if TYPE_CHECKING:
    from coa.aggregation.run import Aggregation


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the records: the fields of `coa.aggregation.query.Query`, as options."""

    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Only rows of which FIELD=VALUE holds; != < <= > >= ~."),
    ] = None
    group_by: Annotated[str | None, typer.Option(metavar="FIELD,...", help="One line for each of their values.")] = None
    count: Annotated[bool, typer.Option("--count", help="How many.")] = False
    max: Annotated[str | None, typer.Option(metavar="FIELD", help="The row with the greatest value.")] = None
    min: Annotated[str | None, typer.Option(metavar="FIELD", help="The row with the least value.")] = None
    sum: Annotated[str | None, typer.Option(metavar="FIELD", help="The total.")] = None
    mean: Annotated[str | None, typer.Option(metavar="FIELD", help="The average.")] = None
    top: Annotated[int | None, typer.Option(metavar="N", help="The first N by --by.")] = None
    by: Annotated[str | None, typer.Option(metavar="FIELD", help="What --top ranks by, the greatest first.")] = None
    join: Annotated[str | None, typer.Option(metavar="FILE", help="Records to join: CSV, JSON or JSONL.")] = None
    on: Annotated[str | None, typer.Option(metavar="FIELD", help="The field that --join goes by.")] = None


@flattened
def aggregate(
    files: o.Files,
    options: o.RunOptions,
    manner: o.Manner,
    asked: Asked,
    schema: Annotated[str, typer.Option(help="What a record looks like: a JSON schema, or FILE.py:MODEL.")],
    what: Annotated[str | None, typer.Option(help="Which records are meant, in words.")] = None,
    key: Annotated[
        str | None, typer.Option(metavar="FIELD,...", help="Fields that make a record one of a kind.")
    ] = None,
) -> None:
    """Take typed records out of documents; count, rank, group and join them by code."""
    from coa.aggregation import run
    from coa.aggregation.reading import Wanted, prepare
    from coa.aggregation.schema import schema_of

    settings = options.settings()
    wanted = Wanted(schema=schema_of(schema), what=what, key=_listed(key))
    query = _query(asked)
    run.check(query, wanted)
    say_no_model(settings, manner)
    if manner.dry_run:
        from coa.cli.planning import render_plan

        reading = asyncio.run(prepare(files, wanted, settings, stdin=read_stdin))
        write_result(render_plan(reading.plan(settings), as_json=manner.json), manner.output)
        return
    plain = forgetting(settings)
    done = watched(
        lambda emit: run.aggregate(files, wanted, query, settings, emit=plain(emit), stdin=read_stdin), manner.quiet
    )
    show_aggregation(done, manner)


def show_aggregation(done: Aggregation, shown: o.Shown) -> None:
    """Print the result, and say what it cost."""
    from coa.report import render_text

    write_result(as_json(done.to_dict()) if shown.json else render_text(done.answer), shown.output)
    account(done.answer, shown)


def _query(asked: Asked):
    from coa.aggregation.query import Join, Query, condition, read_records

    if (asked.join is None) != (asked.on is None):
        raise UsageError("--join and --on belong together", hint="--join prices.csv --on product")
    return Query(
        where=tuple(condition(text) for text in asked.where or ()),
        join=Join(records=read_records(asked.join), on=asked.on) if asked.join and asked.on else None,
        group_by=_listed(asked.group_by),
        count=asked.count,
        max=asked.max,
        min=asked.min,
        sum=asked.sum,
        mean=asked.mean,
        top=asked.top,
        by=asked.by,
    )


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names else ()
