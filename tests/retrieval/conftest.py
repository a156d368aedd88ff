"""Small models made on the spot: hubs cannot be reached, and nothing here needs a trained one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDS = "the a keeper light lamp boat storm rock sea green red harbour who where is was of in at and".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A word-piece tokenizer over a few words and all letters."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,?")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    raw = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = tokenizers.normalizers.BertNormalizer()
    raw.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    raw.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


@pytest.fixture(scope="session")
def saved(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Path]:
    """Save a model of random weights, always the same ones, beside the tokenizer."""
    import torch

    def save(name: str, build: Callable[[int], Any]) -> Path:
        torch.manual_seed(7)
        folder = tmp_path_factory.mktemp(name)
        build(len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save
