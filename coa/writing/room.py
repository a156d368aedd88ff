"""`Room`: no prompt is larger than the window, nor than 8,000 tokens, however much a text says in a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from coa.errors import WindowTooSmall
from coa.tokens import TokenCounter

MOST_TOKENS = 7_800
_OVERHEAD = 16
SECTION_YIELDS = ("memory", "base", "written", "old", "tail", "after", "evidence", "others", "outline")
"""Inputs of a section's prompt that give way where it is too long, the first one first."""

_KEEP_END = frozenset(["memory", "written", "tail", "left_text"])
_BY_WORDS = frozenset(["brief", "right_text"])
_NEVER_EMPTY = frozenset(["brief", "left_text", "right_text", "conflicts"])
"""Inputs without which a prompt asks nothing: it is refused then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How large a prompt may be.

    Attributes:
        counter: Counts as the model does, or estimates.
        window: Prompt and reply together, in tokens.
    """

    counter: TokenCounter
    window: int

    def fitted(self, render: Callable[[Mapping[str, object]], str], inputs: Mapping[str, object], reply: int) -> str:
        """A section's prompt, with less of what was said before where it would be too large. See `shortened`."""
        return self.shortened(render, inputs, reply, SECTION_YIELDS)[0]

    def shortened(
        self,
        render: Callable[[Mapping[str, object]], str],
        inputs: Mapping[str, object],
        reply: int,
        yielding: Sequence[str],
    ) -> tuple[str, dict[str, str]]:
        """The prompt, with less of some inputs where it would be too large, and what is left of those.

        Args:
            render: Makes the prompt from its inputs.
            inputs: Of the prompt.
            reply: Tokens that the reply may have.
            yielding: Inputs that may be shortened, the first one first.

        Raises:
            WindowTooSmall: it does not fit without any of that either.
        """
        room = min(MOST_TOKENS, int((self.window - reply - _OVERHEAD) / (1 + self.counter.margin)))
        prompt, given, left = render(inputs), dict(inputs), dict[str, str]()
        for name in yielding:
            while (over := self._over(prompt, room)) > 0 and (text := str(given.get(name) or "")):
                kept = self._clipped(text, over, name)
                if not kept and name in _NEVER_EMPTY:
                    break
                given[name] = left[name] = kept
                prompt = render(given)
        if self._over(prompt, room) > 0:
            raise WindowTooSmall(
                f"a window of {self.window} tokens leaves no room to write {reply} tokens",
                hint="Give a larger --window, a shorter brief, or shorter sections in the plan.",
            )
        return prompt, left

    def _over(self, prompt: str, room: int) -> int:
        # No tokenizer makes more tokens than there are bytes: most prompts need not be counted.
        return 0 if len(prompt.encode()) <= room else self.counter.count(prompt) - room

    def _clipped(self, text: str, over: int, name: str) -> str:
        """The text without about so many tokens: whole lines or words, its end kept or its beginning."""
        tokens = self.counter.count(text)
        kept = int(len(text) * max(0.0, 1 - 1.1 * over / max(1, tokens)))
        if kept < _OVERHEAD:
            return ""
        if name in _KEEP_END:
            return text[-kept:].partition(" ")[2]
        if "\n" in text and name not in _BY_WORDS:
            return text[:kept].rpartition("\n")[0]
        return text[:kept].rpartition(" ")[0] or (text[:kept] if name in _BY_WORDS else "")
