"""Which language a text is in, told by its script and its commonest words: enough to see a reply in a wrong one."""

from __future__ import annotations

import re
from collections import Counter

_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
_COMMON = {
    "en": "the of and to in is was that it for with are this be by from have not which they their were has",
    "de": "der die das und ist nicht ein eine zu den mit von auf dem sich des wird auch werden für sind im",
    "fr": "le la les des et est une dans que pour qui sur pas avec par plus sont du au ce aux cette être",
    "es": "el los las que en un una por con para es del se como más pero sus fue está su son lo al este",
    "it": "il di che è un una per non con del della sono gli anche più nel alla dei le da si come questo",
    "pt": "o os que em um uma para com não do da dos mais como foi se ao na no são ou pelo sua é",
    "nl": "de het een van en dat niet op te zijn met voor aan er door ook maar bij naar wordt deze die",
    "sv": "och att det som en på är av för med den till inte har om ett var från men de kan så",
    "pl": "i w nie na się jest do że z to jak po o od za przez dla tym są oraz czy był który",
}
_NAMES = {
    "en": "english englisch anglais inglés",
    "de": "german deutsch allemand alemán",
    "fr": "french français französisch francés",
    "es": "spanish español spanisch espagnol",
    "it": "italian italiano italienisch italien",
    "pt": "portuguese português portugiesisch",
    "nl": "dutch nederlands niederländisch",
    "sv": "swedish svenska schwedisch",
    "pl": "polish polski polnisch",
    "ru": "russian русский russisch",
    "zh": "chinese 中文 chinesisch mandarin",
    "ja": "japanese 日本語 japanisch",
    "ko": "korean 한국어 koreanisch",
    "ar": "arabic العربية arabisch",
    "he": "hebrew עברית",
    "el": "greek ελληνικά",
    "hi": "hindi हिन्दी",
    "th": "thai ไทย",
}
_WORDS = {code: frozenset(words.split()) for code, words in _COMMON.items()}
_CODE_OF = {name: code for code, names in _NAMES.items() for name in names.split()} | {code: code for code in _NAMES}
_LETTER, _WORD = re.compile(r"[^\W\d_]"), re.compile(r"[^\W\d_]+")
_OF_A_SCRIPT, _KANA = 0.4, 0.05
_LEAST_SHARE, _LEAST_FOUND, _AHEAD = 0.12, 4, 1.6


def language_of(text: str) -> str | None:
    """The language's code, such as ``de``; None where the text does not show it."""
    letters = len(_LETTER.findall(text))
    if not letters:
        return None
    counts = {code: len(pattern.findall(text)) for code, pattern in _SCRIPTS.items()}
    if counts["ja"] / letters > _KANA:
        return "ja"
    code = max(counts, key=lambda each: counts[each])
    return code if counts[code] / letters > _OF_A_SCRIPT else _by_words(text)


def code_of(name: str) -> str | None:
    """The code of a language as a person names it: ``German``, ``Deutsch``, ``de``, ``de-AT``."""
    first = re.split(r"[\s_-]", name.strip().lower())[0]
    return _CODE_OF.get(first)


def expected_language(named: str, brief: str, outline: str) -> str | None:
    """What a section must be written in: as named, or what brief and outline agree on; None where nobody knows.

    A brief that names a language may ask for a text in it: then nothing is concluded from the brief's own.
    """
    if named:
        return code_of(named)
    if any(word in _CODE_OF and len(word) > 2 for word in _WORD.findall(brief.lower())):
        return None
    found = language_of(outline)
    return found if found == language_of(brief) else None


def _by_words(text: str) -> str | None:
    words = _WORD.findall(text.lower())
    counts = Counter({code: sum(word in common for word in words) for code, common in _WORDS.items()})
    (best, most), (_, second) = counts.most_common(2)
    clear = most >= max(_LEAST_FOUND, _LEAST_SHARE * len(words)) and most >= _AHEAD * second
    return best if clear else None
