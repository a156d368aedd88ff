"""Conversations: transcripts as JSON become a line a turn, and in any text the turns are found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

_LINE = re.compile(
    r"^(?:\[\d{2}:\d{2}:\d{2}\] )?(?P<speaker>[^\W\d_a-z][^\n:\[\]<>{}|=\"“]{0,49}): (?=\S)", re.MULTILINE
)
_LISTS = ("meeting_transcripts", "turns", "transcript", "messages", "conversation")
_WORDS = ("content", "text", "utterance")
_NAMES = ("speaker", "name", "role")
_LEAST_TURNS = 4
_SHARE = 0.5
_WORDS_A_TURN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where somebody begins to speak, in characters of the text."""

    start: int
    speaker: str


def turns_in(text: str) -> tuple[Turn, ...]:
    """The turns of a text in which most lines begin with a name and a colon; none where it is no conversation.

    At least two people speak, somebody more than once, and more than a word or two: a list of fields is none.
    """
    found = [Turn(start=match.start(), speaker=match["speaker"].strip()) for match in _LINE.finditer(text)]
    lines = sum(1 for line in text.split("\n") if line.strip())
    names = {turn.speaker for turn in found}
    if len(found) < max(_LEAST_TURNS, _SHARE * lines) or not 2 <= len(names) < len(found):
        return ()
    return tuple(found) if len(text.split()) >= _WORDS_A_TURN * len(found) else ()


def read_transcript(text: str) -> str | None:
    """``speaker: what is said``, a line a turn, of JSON that holds a transcript (QMSum's form, or a list of turns).

    Returns:
        The text, or None for any other JSON, which is read as it stands.
    """
    if text[:64].lstrip()[:1] not in ("{", "["):
        return None
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = _listed(read)
    said = [_turn(turn) for turn in turns] if turns else []
    return "".join(f"{line}\n" for line in said if line) if said and None not in said else None


def _listed(read: object) -> Sequence[object] | None:
    if isinstance(read, dict):
        found = cast("dict[str, object]", read)
        read = next((found[name] for name in _LISTS if name in found), None)
    return cast("list[object]", read) if isinstance(read, list) else None


def _turn(given: object) -> str | None:
    """One line; empty for a turn in which nothing is said; None for what is no turn."""
    if not isinstance(given, dict):
        return None
    found = cast("dict[str, Any]", given)
    speaker = next((found[name] for name in _NAMES if isinstance(found.get(name), str)), None)
    said = next((found[name] for name in _WORDS if isinstance(found.get(name), str)), None)
    if speaker is None or said is None:
        return None
    return f"{' '.join(speaker.split())}: {' '.join(said.split())}" if said.strip() else ""
