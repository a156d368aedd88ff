"""Stretches of Markdown that are code: nothing in them is a mark, a heading or a link."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TICKS = r"(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)"
_CODE = re.compile(rf"^(?P<fence>```+|~~~+).*?(?:^(?P=fence) *$|\Z)|{_TICKS}", re.MULTILINE | re.DOTALL)
_CLOSED = re.compile(rf"^(?P<fence>```+|~~~+).*?^(?P=fence) *$|{_TICKS}", re.MULTILINE | re.DOTALL)


def outside_code(text: str, change: Callable[[str], str], *, closed: bool = False) -> str:
    """The text with everything changed that is no code.

    Args:
        text: Markdown.
        change: What to do with each stretch of prose.
        closed: A fence that is never closed begins no code: one stray mark must not exempt all that follows.
    """
    return "".join(piece if code else change(piece) for piece, code in stretches(text, closed=closed))


def stretches(text: str, *, closed: bool = False) -> Iterator[tuple[str, bool]]:
    """The text in pieces, one after the other, and whether each is code; ``closed`` as in `outside_code`."""
    at = 0
    for match in (_CLOSED if closed else _CODE).finditer(text):
        yield text[at : match.start()], False
        yield match[0], True
        at = match.end()
    yield text[at:], False
