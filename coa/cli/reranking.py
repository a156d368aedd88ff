"""``coa search --rerank``: which model ranks, under which limits, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coa.cli import options as o
from coa.cli.again import keeping
from coa.cli.console import note
from coa.cli.planning import render_plan
from coa.cli.run import ask_price, say_no_model, watched
from coa.errors import UsageError

if TYPE_CHECKING:
    from coa.retrieval.base import Hit
    from coa.retrieval.rerank.base import Reranked


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankOptions(o.LimitOptions):
    """A second look at the best passages, and what it may use."""

    rerank: Annotated[
        str | None, typer.Option(help="Rank again: listwise, listwise:full, listwise:sliding or cross:FOLDER.")
    ] = None
    rerank_from: Annotated[int | None, typer.Option(metavar="N", help="Passages that are ranked again (50).")] = None
    model: o.Model = None
    window: Annotated[int | None, typer.Option(help="Tokens of prompt and reply together.")] = None
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep nothing of the ranking's calls.")] = False

    def given(self) -> dict[str, Any]:
        """See `LimitOptions.given`."""
        return o.LimitOptions.given(self) | {"journal": False if self.no_journal else None}

    def candidates(self, k: int) -> int:
        """How many passages to find first.

        Raises:
            UsageError: fewer than are to be shown.
        """
        from coa.retrieval.rerank.base import FIRST

        if self.rerank is None:
            return k
        if self.rerank_from is not None and self.rerank_from < k:
            raise UsageError(f"{self.rerank_from} passages do not hold {k}", hint="Give --rerank-from at least -k.")
        return self.rerank_from or max(k, FIRST)


def reranked(query: str, hits: Sequence[Hit], options: RerankOptions, manner: o.Manner) -> Reranked:
    """Rank the hits again, after asking where that is dear; say what it took."""
    import asyncio

    from coa.retrieval.rerank.listwise import ListwiseReranker
    from coa.retrieval.rerank.resolve import resolve_reranker

    settings = options.settings()
    reranker = resolve_reranker(options.rerank or "", settings)
    if isinstance(reranker, ListwiseReranker):
        say_no_model(settings, manner)
        ask_price(settings, manner, lambda: asyncio.run(reranker.plan(query, hits)))
    kept = keeping(settings)
    found = watched(
        lambda emit: resolve_reranker(options.rerank or "", settings, kept(emit)).rerank(query, hits), manner.quiet
    )
    if not manner.quiet:
        usage = found.usage
        note(
            f"reranked {len(found.hits)} passages, {found.method}: {usage.calls} calls and "
            f"{usage.calls_from_journal} from the journal, {usage.prompt_tokens + usage.completion_tokens:,} tokens"
        )
    return found


def planned(query: str, hits: Sequence[Hit], options: RerankOptions, manner: o.Manner) -> str:
    """What the ranking would cost.

    Raises:
        UsageError: nothing that costs anything was asked for.
    """
    import asyncio

    from coa.retrieval.rerank.listwise import ListwiseReranker
    from coa.retrieval.rerank.resolve import resolve_reranker

    reranker = resolve_reranker(options.rerank, options.settings()) if options.rerank else None
    if not isinstance(reranker, ListwiseReranker):
        raise UsageError("only a listwise ranking has a price", hint="Add --rerank listwise.")
    return render_plan(asyncio.run(reranker.plan(query, hits)), as_json=manner.json)


def summary(found: Reranked) -> dict[str, object]:
    """What ``--json`` says about the ranking."""
    usage = asdict(found.usage) | {"seconds": round(found.usage.seconds, 3)}
    return {
        "method": found.method,
        "usage": usage,
        "repairs": asdict(found.repairs),
        "run_id": found.run_id,
        "warnings": list(found.warnings),
    }
