"""Counting tokens: exactly where a vocabulary is at hand, otherwise by an estimate that says so."""

from __future__ import annotations

from typing import Protocol


class TokenCounter(Protocol):
    """Counts the tokens of a text.

    Attributes:
        label: What is being counted with, for people: ``tiktoken o200k_base``, ``estimate``.
        margin: Share of the window kept free because the count may be too low: 0.0 when it is the model's own.
    """

    @property
    def label(self) -> str: ...
    @property
    def margin(self) -> float: ...

    def count(self, text: str) -> int: ...
