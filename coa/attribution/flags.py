"""Signs that a passage was written for the model instead of the reader."""

from __future__ import annotations

import re

_ORDERS = re.compile(
    r"""
    \b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|above|previous|context|rule)s?\b
    | \b(?:ignore|disregard|forget)\b.{0,20}\b(?:other|rest)\b.{0,20}\b(?:sentence|text|passage|source|document)s?\b
    | \b(?:system|developer)\s+(?:prompt|message|instruction)s?\b
    | \b(?:you\s+(?:must|should|will|are\s+to)|please)\s+(?:now\s+)?
      (?:answer|respond|reply|output|say|print|tell|write)\b
    | \bwhen(?:ever)?\s+(?:you\s+are\s+)?asked\b.{0,80}\b(?:answer|say|reply|respond|output)\b
    | \b(?:as\s+an?|you\s+are\s+an?)\s+(?:ai|assistant|language\s+model|chatbot)\b
    | \bdo\s+not\s+(?:mention|reveal|tell|summari[sz]e|cite)\b
    | <\|?(?:im_start|im_end|system|assistant|endoftext)\|?> | \[/?INST\]
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def gives_orders(text: str) -> bool:
    """Whether a passage reads like an instruction to a language model. A pattern, not a proof."""
    return _ORDERS.search(text) is not None
