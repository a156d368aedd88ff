"""Words as they are compared: lower case, without stop words, lightly stemmed; bigrams for scripts without blanks."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
SCRIPT_WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STOP = frozenset(
    """
    a about after again all also am an and any are as at be because been before being but by can could did do does
    doing done down during each few for from further get go got had has have having he her here hers him his how i
    if in into is it its just kind know let like may me might mm more most mm-hmm must my no nor not now of off ok
    okay on once one only or other our out over own really right said say see shall she should so some such than
    that the their them then there these they thing think this those through to too uh um under until up upon us
    very want was we well were what when where which while who whom why will with would yeah yes you your
    """.split()  # noqa: SIM905
)
_SPOKEN = frozenset(
    """
    actually ah anyway basically dunno er erm gonna guess hello hey hi hm hmm huh i i'll i'm i've just like me mm mm-hmm
    my no oh ok okay really right so sorry sure thanks uh uhm um wanna we're well yeah yep yes you you're your
    """.split()  # noqa: SIM905
)
_SUFFIXES = (
    "ations",
    "ation",
    "ingly",
    "edly",
    "ments",
    "ment",
    "ings",
    "ing",
    "ies",
    "ied",
    "ers",
    "ed",
    "es",
    "er",
    "ly",
    "s",
)
_SHORTEST_STEM = 3


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem: enough for ``hide``, ``hides`` and ``hiding`` to meet."""
    word = word.replace("’", "'").removesuffix("'s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            word = word[: -len(suffix)]
            break
    word = word.rstrip("e") if len(word) > _SHORTEST_STEM else word
    return word[:-1] if len(word) > _SHORTEST_STEM and word[-1] == word[-2] else word


def terms(text: str) -> list[str]:
    """The content terms of a text, in order, repeated as often as they occur."""
    found: list[str] = []
    for token in _TOKEN.findall(text.lower()):
        if SCRIPT_WITHOUT_BLANKS.search(token):
            found.extend(token[i : i + 2] for i in range(max(1, len(token) - 1)))
        elif token not in _STOP and (len(token) > 1 or token.isdigit()):
            found.append(stem(token))
    return found


def word_count(text: str) -> int:
    """Words as people count them; a character each in scripts without blanks."""
    return len(text.split()) + len(SCRIPT_WITHOUT_BLANKS.findall(text)) // 2


def chatter(text: str) -> float:
    """The share of a sentence's words that only keep a conversation going, from 0 to 1."""
    words = [word.strip('.,;:!?"').lower().replace("’", "'") for word in text.split()]
    return sum(word in _SPOKEN for word in words) / len(words) if words else 0.0
