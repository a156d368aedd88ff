"""`biased_writer`: a scripted model that plans and writes prose of a known length, to test the control of length."""

from __future__ import annotations

import hashlib
import random
import re

from coa.serving.base import Request
from coa.testing.scripted import ScriptedModel

_SYLLABLES = [
    "ba",
    "be",
    "bi",
    "bo",
    "bu",
    "da",
    "de",
    "di",
    "do",
    "du",
    "ka",
    "ke",
    "ki",
    "ko",
    "ku",
    "la",
    "le",
    "li",
    "lo",
    "lu",
    "ma",
    "me",
    "mi",
    "mo",
    "mu",
    "na",
    "ne",
    "ni",
    "no",
    "nu",
    "ra",
    "re",
    "ri",
    "ro",
    "ru",
]
_WORDS = re.compile(r"about (\d+) (?:more )?words", re.IGNORECASE)
_COUNT = re.compile(r"exactly (\d+) lines")
_EVIDENCE = re.compile(r"^(\[[a-z]+\d+\]) ", re.MULTILINE)
_EDITS = "Answer with a JSON array"
_TARGET, _BUDGET = re.compile(r"in (\d+) words"), re.compile(r"Word Count: (\d+)")


def biased_writer(bias: float = 1.0, spread: float = 0.2, *, window: int = 200_000, seed: int = 0) -> ScriptedModel:
    """A model that writes ``bias`` times the words asked for, give or take; the same prompt gives the same text.

    Args:
        bias: Mean of words written for each word asked.
        spread: Standard deviation of the logarithm of that ratio.
        window: Prompt and reply together, in tokens.
        seed: Another one gives other texts.
    """

    def reply(request: Request) -> str:
        return said(request.messages[-1].content, bias, spread, seed=f"{seed}|{request.sample}")

    return ScriptedModel(reply, window=window, name="scripted:writer")


def said(prompt: str, bias: float = 1.0, spread: float = 0.2, *, seed: str = "", furnished: bool = False) -> str:
    """What such a model says to a prompt, for a server that has nothing else to go by.

    ``furnished`` prose cites the passages of the prompt and holds tables, lists and code.
    """
    rng = random.Random(hashlib.sha256(f"{seed}|{prompt}".encode()).hexdigest())
    if wanted := _COUNT.findall(prompt):
        return _outline(int(wanted[-1]), rng)
    if _EDITS in prompt:
        return "[]"
    if asked := _WORDS.findall(prompt) or _BUDGET.findall(prompt):
        text = prose(max(1, round(int(asked[-1]) * bias * rng.lognormvariate(0, spread))), rng)
        return _furnished(text, _EVIDENCE.findall(prompt), rng) if furnished else text
    return _paragraphs(int(_TARGET.findall(prompt)[-1]), rng)


def prose(words: int, rng: random.Random) -> str:
    """Sentences of invented words, a paragraph every few of them."""
    sentences: list[str] = []
    while words > 0:
        length = min(words, rng.randint(6, 18))
        words -= length
        sentences.append(" ".join(_word(rng) for _ in range(length)).capitalize() + ".")
    return "\n\n".join(" ".join(sentences[i : i + 5]) for i in range(0, len(sentences), 5))


def _furnished(text: str, marks: list[str], rng: random.Random) -> str:
    """Prose whose paragraphs cite, with a table, a list or code in place of some paragraphs."""
    paragraphs = text.split("\n\n")
    kept = [f"{each[:-1]} {rng.choice(marks)}." if marks and rng.random() < 0.7 else each for each in paragraphs]
    if len(kept) > 3:
        at = rng.randrange(1, len(kept) - 1)
        kept[at] = rng.choice([_table, _list, _code])(rng)
    return "\n\n".join(kept)


def _table(rng: random.Random) -> str:
    rows = [[_name(rng), str(rng.randint(2, 90)), _word(rng)] for _ in range(4)]
    head = "| Ferry | Passengers | Harbour |\n|---|---:|---|\n"
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _list(rng: random.Random) -> str:
    return "\n".join(f"- **{_name(rng)}**: {_word(rng)} {_word(rng)} *{_word(rng)}*." for _ in range(4))


def _code(rng: random.Random) -> str:
    return f"```python\n{_word(rng)} = [{rng.randint(1, 9)}]\nprint({_word(rng)}[0])\n```"


def _outline(count: int, rng: random.Random) -> str:
    lines = [
        f"{i}. {_name(rng)} | tell of {_word(rng)} | {rng.randint(1, 5)} | {_name(rng)}" for i in range(1, count + 1)
    ]
    return "\n".join(["Here is the plan you asked for:", f"Title: {_name(rng)}", "---", *lines, "Total: all"])


def _paragraphs(words: int, rng: random.Random) -> str:
    """A plan in AgentWrite's form, 500 words a paragraph."""
    count = max(1, round(words / 500))
    return "\n".join(
        f"Paragraph {i} - Main Point: tell of {prose(30, rng)} - Word Count: {words // count}"
        for i in range(1, count + 1)
    ).replace("\n\n", " ")


def _name(rng: random.Random) -> str:
    return f"{_word(rng).title()} {_word(rng)}"


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))
