"""Counting tokens: exactly where a vocabulary is at hand, otherwise by an estimate that says so."""

from __future__ import annotations

from coa.tokens.base import TokenCounter
from coa.tokens.choose import counter_for
from coa.tokens.estimate import EstimateCounter
from coa.tokens.exact import HuggingFaceCounter, TiktokenCounter
from coa.tokens.vocabulary import vocabulary_at_hand

__all__ = [
    "EstimateCounter",
    "HuggingFaceCounter",
    "TiktokenCounter",
    "TokenCounter",
    "counter_for",
    "vocabulary_at_hand",
]
