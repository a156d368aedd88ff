"""Nothing secret in an error message: no key, and nothing of the document that a server quotes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_KEY = re.compile(r"\b(?:(?:sk|pk|gsk|hf|xai|key)[-_][\w*.-]{8,}|AIza[\w-]{20,}|Bearer\s+[\w.*~+/=-]{8,})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_PIECE = 16
_SHOWN = 240
_LOOKED_AT = 480
_READ = 8000


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Cleans what a server said before a person reads it.

    Attributes:
        secrets: Keys, to be taken out wherever they stand.
        texts: The prompt. Wherever the message repeats 16 or more of its characters in a row, they are taken out.
    """

    secrets: Sequence[str] = ()
    texts: Sequence[str] = field(default=(), repr=False)

    def clean(self, message: str) -> str:
        """One short line without secrets, without document text and without control characters."""
        line = " ".join(_CONTROL.sub(" ", message[:_READ]).split())
        for secret in filter(None, self.secrets):
            line = line.replace(secret, "[key]")
        line = self._without_text(_KEY.sub("[key]", line)[:_LOOKED_AT])
        return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."

    def _without_text(self, line: str) -> str:
        if len(line) < _PIECE:
            return line
        prompt = "\n".join(" ".join(text.split()) for text in self.texts)
        shown: list[str] = []
        hidden_to = -1
        for at, character in enumerate(line):
            piece = line[at : at + _PIECE]
            if len(piece) == _PIECE and piece in prompt:
                if hidden_to < at:
                    shown.append("[text]")
                hidden_to = at + _PIECE
            elif at >= hidden_to:
                shown.append(character)
        return "".join(shown)
