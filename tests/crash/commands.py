"""The commands that are killed: the words of each, and a model for all of them that answers by the prompt alone."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from coa.testing.writers import prose

EXAMPLES = Path(__file__).parents[2] / "examples"
CALLS = re.compile(r"Ship: (\w+)\. Cargo: (\w+)\. Nights: (\d+)\.")
WORDS = re.compile(r"about (\d+) (?:more )?words", re.IGNORECASE)
LINES = re.compile(r"exactly (\d+) lines")


@dataclass(frozen=True, kw_only=True)
class Command:
    """Words after ``coa``, in which ``{}`` stands for the folder of the files.

    ``anew`` calls are made by each process: a trace asks the server whether it gives log-probabilities.
    """

    words: str
    concurrency: int = 4
    anew: int = 0
    stdin: bool = False

    def arguments(self, folder: Path) -> list[str]:
        return [word.replace("{}", str(folder)).replace("_", " ") for word in self.words.split()]


COMMANDS = {
    "chain": Command(words="ask {}/long.txt Who_keeps_the_light? --window 1250"),
    "tree": Command(words="ask {}/long.txt Who_keeps_the_light? --window 1250 --topology tree"),
    "map-then-chain": Command(words="ask {}/long.txt Who_keeps_the_light? --window 1250 --topology map-then-chain"),
    "both ways": Command(words="ask {}/book.txt Who_keeps_the_light? --window 1250 --paths bidirectional"),
    "single": Command(words="ask {}/short.txt Who_keeps_the_light? --topology single"),
    "auto": Command(words="ask {}/book.txt Who_keeps_the_light? --window 1250 --topology auto"),
    "summarize": Command(words="summarize {}/book.txt --window 1250"),
    "retrieve": Command(words="ask {}/book.txt Is_the_sea_grey? --window 1250 --retrieve 2000"),
    "choices": Command(words="ask {}/book.txt Is_the_sea_grey? --yes-no --window 1400"),
    "questions": Command(words="ask {}/short.txt --questions {}/questions.jsonl --window 1250"),
    "stdin": Command(words="ask - --questions {}/questions.jsonl --window 1250", stdin=True),
    "verify": Command(words="verify {}/short.txt The_sea_is_grey. The_sea_is_red. The_sea_is_wide. --window 1400"),
    "complete": Command(words="complete {}/repository --file harbour/master.py --line 20 --window 1700"),
    "aggregate": Command(words="aggregate {}/dues.txt --schema {}/call.json --sum Nights --window 1800"),
    "write": Command(words="write A_guide_to_the_sound. --words 3000 --parallel 3"),
    "write from sources": Command(words="write A_guide. --words 1500 --source {}/book.txt --parallel 3"),
    "ask and trace": Command(words="ask {}/short.txt Who_keeps_the_light? --window 1250 --trace", anew=1),
    "trace": Command(
        words="trace --source {}/short.txt --question Who? --answer The_sea_is_grey_today. --scorer regenerate"
    ),
    "eval": Command(words="eval niah --data {}/needles.jsonl --window 1250"),
}


def files(folder: Path) -> Path:
    """What the commands read."""
    entry = "Entry {}. " + "The sea is grey and wide today. " * 33 + "\n\n"
    for name, entries in (("long", 34), ("book", 12), ("short", 4)):
        (folder / f"{name}.txt").write_text("".join(entry.format(n) for n in range(entries)))
    call = "Ship: Heron. Cargo: salt. Nights: {}. " + "Nobody said a word until the evening. " * 25 + "\n\n"
    (folder / "dues.txt").write_text("".join(call.format(n % 7 + 1) for n in range(24)))
    properties = {"Ship": {"type": "string"}, "Cargo": {"type": "string"}, "Nights": {"type": "integer"}}
    (folder / "call.json").write_text(json.dumps({"title": "Call", "properties": properties}))
    asked = [{"id": n, "question": f"What is said of day {n}?"} for n in range(3)]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)))
    rows = [
        {
            "index": n,
            "input": f"{'The sea was calm. ' * 200}\nThe key of box{n} is gold{n}.\nWhat is the key of box{n}?",
            "outputs": [f"gold{n}"],
            "length": 99,
        }
        for n in range(4)
    ]
    (folder / "needles.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for file in (EXAMPLES / "repository").rglob("*.py"):
        copy = folder / "repository" / file.relative_to(EXAMPLES / "repository")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    return folder


def result(text: str) -> str:
    """What a command prints, without the account that a benchmark gives of what this run of it has spent."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("spent "))


def speak(prompt: str) -> str:
    """Records, an outline, prose of the length asked for, or notes: the same for the same prompt."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    if found := CALLS.findall(prompt):
        return "\n".join(
            json.dumps(
                {
                    "quote": f"Ship: {ship}. Cargo: {cargo}. Nights: {nights}.",
                    "record": {"Ship": ship, "Cargo": cargo, "Nights": int(nights)},
                }
            )
            for ship, cargo, nights in found
        )
    if wanted := LINES.findall(prompt):
        return "Title: The sound\n" + "\n".join(f"Part {n} | tell of it | 1 | k{n}" for n in range(int(wanted[-1])))
    if "write one section" in prompt:
        return prose(int(WORDS.findall(prompt)[-1]), random.Random(digest))
    if "JSON" in prompt:
        return "[]"
    return f"SUPPORTED\nYes. Notes {digest[:12]} say [[The sea is grey and wide today.]]"
