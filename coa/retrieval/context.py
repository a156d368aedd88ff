"""From hits to text for a model: as many passages as a budget of tokens holds, widened, joined, put in order.

Passages stand in the order of their documents (OP-RAG, arXiv 2409.01666: for the same passages this answers better than
the order of scores), those that touch are joined, and each is still its document's own text at its span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from coa.errors import UsageError
from coa.retrieval.base import TEXT, Hit, Store, Unit
from coa.tokens import EstimateCounter, TokenCounter
from coa.types import Span

Order = Literal["document", "best_last", "score"]
Expand = Literal["window", "section", "parent"]

_PARENT = 8
"""Units of a parent: about 5,000 characters, the size LongRAG (arXiv 2406.15319) calls a short group."""
_FURTHEST = 64
_GAP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What fits.

    Attributes:
        passages: In the order asked for; the parts of a joined one are those of its best hit.
        tokens: Of all passages together.
        left_out: Hits for which there was no room.
    """

    passages: tuple[Hit, ...]
    tokens: int
    left_out: tuple[Hit, ...] = ()

    @property
    def text(self) -> str:
        """The passages, a blank line between them."""
        return "\n\n".join(passage.text for passage in self.passages)


def build(
    store: Store,
    hits: Sequence[Hit],
    tokens: int,
    *,
    order: Order = "document",
    expand: Expand | None = None,
    reach: int = 1,
    counter: TokenCounter | None = None,
) -> Context:
    """Choose, widen, join and order passages.

    Args:
        store: What the hits are from.
        hits: Best first; hits of other kinds than ``text`` stand for their spans.
        tokens: How many the passages may have together.
        order: ``document``, ``best_last`` (next to a question that follows; DRAG, arXiv 2410.04343), or ``score``.
        expand: ``window`` adds ``reach`` units on each side, ``section`` the rest of the section, ``parent`` the
            block of units around; where that does not fit, the passage is taken as it is.
        reach: Units on each side of a window.
        counter: Counts tokens; the default estimates.

    Raises:
        UsageError: a budget below 1, or an unknown order or way of widening.
    """
    _check_options(tokens, order, expand)
    count = lru_cache(maxsize=None)((counter or EstimateCounter()).count)
    taken: list[Hit] = []
    left: list[Hit] = []
    used = 0
    for hit in hits:
        bare = _verbatim(store, hit)
        for wider in (_wider(store, bare, expand, reach), bare):
            trial = _joined(store, [*taken, wider])
            size = sum(count(passage.text) for passage in trial)
            if size <= tokens:
                taken, used = trial, size
                break
        else:
            left.append(hit)
    return Context(passages=tuple(_ordered(taken, order)), tokens=used, left_out=tuple(left))


def hit(unit: Unit, score: float, parts: Mapping[str, float]) -> Hit:
    """A unit that was found."""
    return Hit(
        span=unit.span,
        score=score,
        text=unit.text,
        path=unit.path,
        page=unit.page,
        section=unit.section,
        kind=unit.kind,
        fields=unit.fields,
        parts=parts,
        unit=unit.id,
    )


def _check_options(tokens: int, order: str, expand: str | None) -> None:
    if tokens < 1:
        raise UsageError(f"a context of {tokens} tokens holds nothing", hint="Give 1 or more.")
    if order not in get_args(Order):
        raise UsageError(f"unknown order {order!r}", hint=f"Choose one of: {', '.join(get_args(Order))}.")
    if expand is not None and expand not in get_args(Expand):
        raise UsageError(f"unknown way of widening {expand!r}", hint=f"Choose one of: {', '.join(get_args(Expand))}.")


def _verbatim(store: Store, found: Hit) -> Hit:
    """A hit with the text of its span: a summary stands for what it is about."""
    return found if found.kind == TEXT else _at(store, found, found.span.start, found.span.end)


def _wider(store: Store, found: Hit, expand: Expand | None, reach: int) -> Hit:
    if expand is None or found.unit is None or found.kind != TEXT:
        return found
    beside = {
        "window": lambda: _row(store, found.unit, reach, lambda unit: True),
        "section": lambda: _row(store, found.unit, _FURTHEST, lambda unit: unit.section == found.section),
        "parent": lambda: store.units(_block(found.unit)),
    }[expand]()
    texts = [unit for unit in beside if unit.kind == TEXT]
    if not texts:
        return found
    start = min(found.span.start, *(unit.span.start for unit in texts))
    return _at(store, found, start, max(found.span.end, *(unit.span.end for unit in texts)))


def _block(unit: int | None) -> list[int]:
    first = (unit or 0) - (unit or 0) % _PARENT
    return list(range(first, first + _PARENT))


def _row(store: Store, unit: int | None, furthest: int, belongs: Callable[[Unit], bool]) -> list[Unit]:
    """The units around one, as far as they belong to it without a break."""
    middle = unit or 0
    near = {one.id: one for one in store.units(list(range(middle - furthest, middle + furthest + 1)))}
    row: list[Unit] = []
    for step in (-1, 1):
        number = middle if step == -1 else middle + 1
        while number in near and near[number].span.doc == near[middle].span.doc and belongs(near[number]):
            row.append(near[number])
            number += step
    return row


def _joined(store: Store, passages: Sequence[Hit]) -> list[Hit]:
    """Passages that overlap, or have nothing but blanks between them, made one; in the order of documents."""
    joined: list[Hit] = []
    for passage in sorted(passages, key=lambda one: (one.path, one.span)):
        last = joined[-1] if joined else None
        if last is not None and _touch(store, last.span, passage.span):
            better = max(last, passage, key=lambda one: one.score)
            end = max(last.span.end, passage.span.end)
            joined[-1] = _at(store, replace(better, page=last.page, section=last.section), last.span.start, end)
        else:
            joined.append(passage)
    return joined


def _touch(store: Store, one: Span, other: Span) -> bool:
    if one.doc != other.doc or other.start - one.end > _GAP:
        return False
    return other.start <= one.end or not store.text(one.doc, one.end, other.start).strip()


def _at(store: Store, found: Hit, start: int, end: int) -> Hit:
    text = store.text(found.span.doc, start, end)
    return replace(found, span=Span(doc=found.span.doc, start=start, end=end), text=text, kind=TEXT)


def _ordered(passages: Sequence[Hit], order: Order) -> list[Hit]:
    if order == "document":
        return list(passages)
    return sorted(passages, key=lambda one: one.score, reverse=order == "score")
