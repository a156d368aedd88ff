"""What a test model says: fixed text, an echo, or every FACT-n that stands in the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

Speak = Callable[[str], str]
"""Makes a reply from a prompt: the contents of all its messages, one after the other."""

_FACT = re.compile(r"FACT-\d+")
_ECHOED = 400


def echo(prompt: str) -> str:
    """The last 400 characters of the prompt."""
    return prompt[-_ECHOED:]


def facts(prompt: str) -> str:
    """Every ``FACT-n`` of the prompt, once, in order: shows whether a chain of calls loses something."""
    return "Known: " + " ".join(dict.fromkeys(_FACT.findall(prompt)))


SPEECHES: Mapping[str, Speak] = MappingProxyType({"echo": echo, "facts": facts})


def speech(reply: str | Speak) -> Speak:
    """A function from what a test gives: ``echo``, ``facts``, a function, or any other text, said as it is."""
    if isinstance(reply, str):
        return SPEECHES.get(reply) or (lambda _: reply)
    return reply
