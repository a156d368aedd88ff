"""Counters that use a real vocabulary: tiktoken's, or a model's own ``tokenizer.json``."""

from __future__ import annotations

import json
import os
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from coa.errors import InputNotFound, MissingExtra, UsageError
from coa.tokens.base import windows
from coa.tokens.vocabulary import VOCABULARIES, vocabulary_at_hand

if TYPE_CHECKING:
    from tiktoken import Encoding

_CACHE_DIR = "TIKTOKEN_CACHE_DIR"
_loading = Lock()


class TiktokenCounter:
    """Counts with one of OpenAI's vocabularies, if it is on this machine. ``<|endoftext|>`` in a text is text.

    Args:
        encoding: ``cl100k_base``, ``o200k_base`` or ``o200k_harmony``.
        margin: How far the count may be too low, when the model's own tokenizer is another one.
    """

    def __init__(self, encoding: str, *, margin: float = 0.0) -> None:
        self.encoding = encoding
        self.margin = margin

    @property
    def label(self) -> str:
        """Such as ``tiktoken o200k_base``."""
        return f"tiktoken {self.encoding}"

    def count(self, text: str) -> int:
        """The number of tokens.

        Raises:
            UsageError: if the vocabulary is not on this machine.
        """
        encode = self._encoding.encode_ordinary
        return sum(len(encode(piece)) for piece in windows(text))

    @cached_property
    def _encoding(self) -> Encoding:
        folder = vocabulary_at_hand(self.encoding)
        if folder is None:
            raise UsageError(
                f"the vocabulary {self.encoding!r} is not on this machine", hint=_how_to_get(self.encoding)
            )
        return _load(self.encoding, folder)


class HuggingFaceCounter:
    """Counts with a model's own ``tokenizer.json``. Special tokens in a text are text.

    Args:
        path: The file, or the model's folder that holds it.
    """

    margin = 0.0

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path / "tokenizer.json" if path.is_dir() else path

    @property
    def label(self) -> str:
        """``tokenizer`` and the name of the folder that holds it."""
        return f"tokenizer {self.path.parent.name or self.path.name}"

    def count(self, text: str) -> int:
        """The number of tokens.

        Raises:
            MissingExtra: if the package ``tokenizers`` is not installed.
            InputNotFound: if there is no such file.
            UsageError: if the file is no tokenizer.
        """
        encode = self._tokenizer.encode
        return sum(len(encode(piece, add_special_tokens=False).ids) for piece in windows(_encodable(text)))

    @cached_property
    def _tokenizer(self) -> Any:
        if find_spec("tokenizers") is None:
            raise MissingExtra(
                "reading a tokenizer.json needs the package 'tokenizers'", hint="Run `pip install tokenizers`."
            )
        if not self.path.is_file():
            raise InputNotFound(f"no tokenizer at {str(self.path)!r}", hint="Give the path of a tokenizer.json.")
        return _read_tokenizer(self.path)


def _load(encoding: str, folder: Path) -> Encoding:
    """Tiktoken takes the folder from the environment alone; it is as it was afterwards."""
    import tiktoken

    with _loading:
        before = os.environ.get(_CACHE_DIR)
        os.environ[_CACHE_DIR] = str(folder)
        try:
            return tiktoken.get_encoding(encoding)
        finally:
            del os.environ[_CACHE_DIR]
            if before is not None:
                os.environ[_CACHE_DIR] = before


def _how_to_get(encoding: str) -> str:
    vocabulary = VOCABULARIES.get(encoding)
    if vocabulary is None:
        return f"Choose one of {', '.join(VOCABULARIES)}."
    return f"Set {_CACHE_DIR} to a folder that holds {vocabulary.url} as {vocabulary.file_name}, or install litellm."


def _read_tokenizer(path: Path) -> Any:
    """The file may ask for truncation; a truncated text would be counted too low."""
    content = path.read_text("utf-8", errors="replace")
    if not _describes_a_tokenizer(content):
        raise UsageError(f"{str(path)!r} is no tokenizer", hint="Give the path of a Hugging Face tokenizer.json.")
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_str(content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _describes_a_tokenizer(content: str) -> bool:
    try:
        described: Any = json.loads(content)
    except ValueError:
        return False
    return isinstance(described, dict) and "model" in described


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
