"""`LoopWatch`: listens to a reply while it streams and says where it has begun to go round in circles."""

from __future__ import annotations

from coa.writing.measure import WORD, loop_share

LOOP_FAIL = 0.35
EVERY_WORDS = 50
_FIRST_WORDS = 100
_LOOK_AGAIN_CHARS = 160


class LoopWatch:
    """Hears one reply. Looks at every fiftieth word alone, so that how the text was cut into pieces changes nothing."""

    def __init__(self) -> None:
        self._text, self._looked, self._next = "", 0, _FIRST_WORDS

    def __call__(self, piece: str) -> int | None:
        """Take a piece of the text.

        Returns:
            Where to end the text, in characters from its beginning; None to go on.
        """
        self._text += piece
        if len(self._text) - self._looked < _LOOK_AGAIN_CHARS:
            return None
        self._looked = len(self._text)
        matches = list(WORD.finditer(self._text))
        while len(matches) > self._next:
            if loop_share([match[0].lower() for match in matches[: self._next]]) > LOOP_FAIL:
                return matches[self._next - 1].end()
            self._next += EVERY_WORDS
        return None
