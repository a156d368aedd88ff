"""The reader's tokenizer: a Unigram model put together by hand, with single bytes for whatever it has no piece for.

A space belongs to the word behind it, and a line break is followed by one, so that a name has the same two pieces
after a space and at the start of a line. Any text comes back unchanged.
"""

from __future__ import annotations

import string
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from coa.testing.reader.lexicon import vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, EOS, UNKNOWN = 0, 1, 2, 3
_SPACE = "▁"
_WORD, _CHARACTER, _BYTE = -8.0, -12.0, -30.0
_LONG = 24
"""Longer words are made up on the spot, such as the marks of a fence, and not worth keeping."""


@cache
def build() -> Tokenizer:
    """Make the tokenizer: the same one, byte for byte, every time.

    Raises:
        ImportError: if the package ``tokenizers`` is missing (extra ``reader``).
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"<0x{byte:02X}>", _BYTE) for byte in range(256)]
    pieces += [(piece, _WORD) for piece in vocabulary()]
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, "\n", _SPACE]
    pieces += [(letter, _CHARACTER) for letter in letters]
    pieces += [(_SPACE + letter, _CHARACTER) for letter in letters if letter not in ("\n", _SPACE)]
    unigram = models.Unigram(pieces, unk_id=UNKNOWN, byte_fallback=True)
    tokenizer = Tokenizer(unigram)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("\n", "\n "),
            normalizers.Replace(" ", _SPACE),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Split(_SPACE, "merged_with_next"),
            pre_tokenizers.Split(Regex(r"[0-9]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(_SPACE, " "),
            decoders.Replace("\n ", "\n"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<pad>", "<s>", "</s>")])
    return tokenizer


def ids(text: str) -> list[int]:
    """Pieces of a text, word by word from memory: what ``build().encode`` gives, many times faster."""
    first, *others = text.split(" ")
    found = list(_word(first))
    for word in others:
        found += _word(" " + word) if len(word) <= _LONG else _uncached(" " + word)
    return found


def _uncached(word: str) -> tuple[int, ...]:
    return tuple(build().encode(word, add_special_tokens=False).ids)


_word = lru_cache(maxsize=200_000)(_uncached)
