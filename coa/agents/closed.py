"""Closed answers: the first line of a reply is one of a few words, or the reply is asked for once more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from coa.agents.replies import usable
from coa.errors import UnfitReply
from coa.serving.base import Reply
from coa.types import Choice, Task

NOT_JUDGED = "NOT JUDGED"
"""What the offline engine says in the place of a verdict or a choice."""

_VERDICT = re.compile(r"^[\W_]*(?:verdict\W*)?(SUPPORTED|CONTRADICTED|NOT[ _]FOUND|NOT JUDGED)\b[\W_]*", re.IGNORECASE)
_MARKS = re.compile(r"\[[^\]\n]*\]")
_PREFIX = re.compile(r"^\W*(?:the )?(?:correct |final |best )?(?:answer|choice|option)\b(?: is)?\W*", re.IGNORECASE)
_LABEL = re.compile(r"^\W*(?:option )?([A-Z])(?:\W+(.*))?$", re.IGNORECASE)


_UNSTATED = re.compile(
    r"\b(?:does|do|did) not (?:\w+ )?(?:state|say|mention|hold|contain|tell|give|answer)\b|\bnot stated\b", re.I
)
_UNSTATED_CHARS = 200


def says_not_stated(text: str, task: Task) -> bool:
    """Whether an answer only says that the text does not hold it."""
    if task.kind == "verify":
        return verdict_in(text) == "not found"
    if task.choices:
        return choice_in(text, task.choices).outcome == "not stated"
    return task.kind == "qa" and len(text) <= _UNSTATED_CHARS and _UNSTATED.search(text) is not None


def verdict_in(text: str) -> str | None:
    """The verdict that a text begins with, in lower case, ``not judged`` among them; None where it is none."""
    match = _VERDICT.match(text)
    return None if match is None else match[1].lower().replace("_", " ")


def without_head(text: str) -> str:
    """The text below its first line, where that is a verdict or a choice alone."""
    return text.partition("\n")[2].lstrip() or text


def labelled(options: Sequence[str]) -> str:
    """The options as a prompt lists them."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False))


def choice_in(text: str, options: Sequence[str]) -> Choice:
    """Which option the first line of a text names: by its wording, by its letter, or by both."""
    head = _MARKS.sub("", next((line for line in text.split("\n") if line.strip()), ""))
    bare = _PREFIX.sub("", head)
    said = _plain(bare)
    options = tuple(options)
    if said.startswith("not stated"):
        return Choice(options=options, chosen=None, outcome="not stated")
    exact = [option for option in options if said == _plain(option)]
    chosen = (exact or _by_letter(bare, options) or _by_beginning(bare, options) or [None])[0]
    return Choice(options=options, chosen=chosen, outcome="chosen" if chosen else "not judged")


def _by_letter(head: str, options: Sequence[str]) -> list[str]:
    """``B``, ``(b)``, ``B. the organ``: the letter counts only where nothing else, or the option itself, follows."""
    match = _LABEL.match(head)
    if match is None or (place := ascii_uppercase.index(match[1].upper())) >= len(options):
        return []
    rest = _plain(match[2] or "")
    return [options[place]] if not rest or rest.startswith(_plain(options[place])) else []


def _by_beginning(head: str, options: Sequence[str]) -> list[str]:
    """``Yes, it is so``: an option of more than a letter, then a mark; the longest where one begins another."""
    found = [
        option
        for option in options
        if len(option) > 1 and re.match(rf"\W*{re.escape(option)}\W*?[.,:;!–—-]", head, re.IGNORECASE)
    ]
    return sorted(found, key=len, reverse=True)[:1]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]|_", " ", text.casefold()).split())


def closed(reply: Reply, task: Task) -> str:
    """The text of a reply that begins with what the task asks for.

    Raises:
        UnfitReply: it begins with something else.
        InvalidReply: it is not usable at all.
    """
    text = usable(reply)
    if task.kind == "verify":
        if verdict_in(text) is None:
            raise UnfitReply("it did not begin with SUPPORTED, CONTRADICTED or NOT FOUND on a line of its own")
    elif choice_in(text, task.choices).outcome == "not judged" and not text.startswith(NOT_JUDGED):
        raise UnfitReply("its first line was not one of the options alone, nor NOT STATED")
    return text
