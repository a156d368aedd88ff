"""Which counter fits a model."""

from __future__ import annotations

import re

from coa.tokens.base import TokenCounter
from coa.tokens.estimate import EstimateCounter
from coa.tokens.exact import HuggingFaceCounter, TiktokenCounter
from coa.tokens.vocabulary import vocabulary_at_hand

_PREFIX = re.compile(r"^(?:openai|litellm|vllm):")


def counter_for(model_name: str, *, tokenizer: str | None = None) -> TokenCounter:
    """The most exact counter that this machine has for a model.

    Args:
        model_name: As a user writes it (``openai:gpt-5-mini``, ``litellm:openai/gpt-4o``) or bare (``gpt-4o``).
        tokenizer: Path of the model's ``tokenizer.json`` or of the folder that holds it.
    """
    if tokenizer is not None:
        return HuggingFaceCounter(tokenizer)
    encoding = _openai_encoding(model_name)
    if encoding is not None and vocabulary_at_hand(encoding) is not None:
        return TiktokenCounter(encoding)
    return EstimateCounter()


def _openai_encoding(model_name: str) -> str | None:
    """The encoding of an OpenAI model; None for other models."""
    from tiktoken.model import encoding_name_for_model

    provider, _, bare = _PREFIX.sub("", model_name).rpartition("/")
    if provider and not provider.endswith(("openai", "azure")):
        return None
    try:
        return encoding_name_for_model(bare)
    except KeyError:
        return None
