"""Stretches of Markdown that are code: nothing in them is a mark, a heading or a link."""

from __future__ import annotations

import re
from collections.abc import Callable

_CODE = re.compile(
    r"^(?P<fence>```+|~~~+).*?(?:^(?P=fence) *$|\Z)|(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE | re.DOTALL,
)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with everything changed that is no code."""
    kept: list[str] = []
    at = 0
    for match in _CODE.finditer(text):
        kept += [change(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*kept, change(text[at:])])
