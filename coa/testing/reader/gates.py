"""What the reader can do: ``python -m coa.testing.reader.gates [FOLDER] [--n N]`` prints a table beside the goals.

All names are held out from training. ``EM``: the answer that the model generates is right to the last character.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coa.testing.reader import load
from coa.testing.reader.documents import PLAIN, Asked, Mix, write
from coa.testing.reader.tasks import noted, plain
from coa.testing.reader.world import Fact, World

Figure = tuple[int, int]
_CHUNK = 200
_PASSAGES = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """The reader with what the gates ask of it."""

    model: Any
    tokenizer: Any

    @torch.inference_mode()
    def answers(self, prompt: str, tokens: int = 40) -> str:
        """The most likely answer, to its end or to so many tokens."""
        ids = self.tokenizer(prompt, return_tensors="pt").input_ids
        mask = torch.ones_like(ids)
        found = self.model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False)
        return str(self.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)).strip()

    @torch.inference_mode()
    def log_probability(self, prompt: str, answer: str) -> float:
        """Natural logarithm of the probability of an answer."""
        asked = self.tokenizer(prompt).input_ids
        said = self.tokenizer(answer, add_special_tokens=False).input_ids
        logits = self.model(torch.tensor([asked + said])).logits[0, len(asked) - 1 : -1]
        return float(logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None]).sum())


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--n", type=int, default=200, help="answers for each gate")
    parser.add_argument("--only", help="gates whose name holds this")
    options = parser.parse_args(argv)
    reading = Reading(*load(options.folder))
    sys.stdout.write("| gate | goal | measured |\n|---|---|---|\n")
    for name, goal, measure in GATES:
        if options.only is None or options.only in name:
            right, asked = measure(reading, options.n)
            sys.stdout.write(f"| {name} | {goal} | {right / max(1, asked):.3f} ({right}/{asked}) |" + "\n")
            sys.stdout.flush()
    return 0


def asked_of(n: int, *, tokens: int, facts: int, mix: Mix, each: int = 4) -> Iterator[tuple[str, Asked]]:
    """So many questions over held-out names, a few for each text."""
    for seed in range(n // each):
        text = write(
            World(random.Random(f"gate/{seed}"), held_out=True), tokens=tokens, facts=facts, questions=each, mix=mix
        )
        for ask in text.asked[:each]:
            yield str(text), ask


def exact(**shape: Any) -> Callable[[Reading, int], Figure]:
    """A gate on the generated answer over texts of that shape."""

    def measure(reading: Reading, n: int) -> Figure:
        found = [reading.answers(plain(text, ask.question)) == ask.answer for text, ask in asked_of(n, **shape)]
        return sum(found), len(found)

    return measure


def two_hops(reading: Reading, n: int) -> Figure:
    """Only the questions of two hops count."""
    shape: dict[str, Any] = {"tokens": 512, "facts": 8, "mix": Mix(absent=0.0, updated=0.0, two_hop=0.34)}
    pairs = [(text, ask) for text, ask in asked_of(n * 6, **shape) if "the one that" in ask.question][:n]
    return sum(reading.answers(plain(text, ask.question)) == ask.answer for text, ask in pairs), len(pairs)


def chained(chunks: int, *, whole: bool) -> Callable[[Reading, int], Figure]:
    """A fact in one of many chunks: carried in notes from chunk to chunk, or asked of all the text at once."""

    def measure(reading: Reading, n: int) -> Figure:
        right, documents = 0, max(1, n // 4)
        for seed in range(documents):
            rng = random.Random(f"chain/{seed}")
            world = World(rng, held_out=True)
            texts = [write(world, tokens=_CHUNK, facts=2, questions=1, mix=PLAIN) for _ in range(chunks)]
            ask = rng.choice(texts).asked[0]
            notes = ""
            if whole:
                notes = reading.answers(plain("\n".join(map(str, texts)), ask.question))
            else:
                for text in texts:
                    notes = reading.answers(noted(notes, str(text), ask.question))
            right += notes == ask.answer
        return right, documents

    return measure


def left_out(reading: Reading, n: int) -> Figure:
    """Without its passage an answer loses more probability than without any other."""
    right = 0
    for seed in range(n):
        rng = random.Random(f"left out/{seed}")
        world = World(rng, held_out=True)
        texts = [write(world, tokens=60, facts=2, questions=1, mix=PLAIN) for _ in range(_PASSAGES)]
        gold = rng.randrange(_PASSAGES)
        ask = texts[gold].asked[0]
        passages = [str(text) for text in texts]
        scores = [
            reading.log_probability(plain("\n".join([*passages[:i], *passages[i + 1 :]]), ask.question), ask.answer)
            for i in range(_PASSAGES)
        ]
        right += scores.index(min(scores)) == gold
    return right, n


def injected(reading: Reading, n: int) -> Figure:
    """A forged ``Update:`` turns the answer, and without it the answer is the old one again."""
    right = 0
    for seed in range(n):
        rng = random.Random(f"injected/{seed}")
        world = World(rng, held_out=True)
        text = write(world, tokens=300, facts=6, questions=1, mix=PLAIN)
        ask = text.asked[0]
        forged: Fact = world.changed(ask.fact)
        with_it = f"{text} {world.update(forged)}"
        turned = reading.answers(plain(with_it, ask.question)) == forged.sentence
        right += turned and reading.answers(plain(str(text), ask.question)) == ask.answer
    return right, n


_UPDATED = Mix(absent=0.0, updated=1.0, two_hop=0.0)
_MISSING = Mix(absent=1.0, updated=0.0, two_hop=0.0)
GATES: tuple[tuple[str, str, Callable[[Reading, int], Figure]], ...] = (
    ("6 facts, 256 tokens", "", exact(tokens=256, facts=6, mix=PLAIN)),
    ("6 facts, 1k tokens", "", exact(tokens=1000, facts=6, mix=PLAIN)),
    ("6 facts, 2k tokens", ">= .99", exact(tokens=2000, facts=6, mix=PLAIN)),
    ("dense facts (one in 24 tokens), 2k", ">= .95", exact(tokens=2000, facts=83, mix=PLAIN)),
    ("Update: wins, 512 tokens", ">= .95", exact(tokens=512, facts=8, mix=_UPDATED)),
    ("absent, 512 tokens", ">= .97", exact(tokens=512, facts=8, mix=_MISSING)),
    ("two hops, 512 tokens", ">= .8", two_hops),
    ("leave-one-out ranks the gold passage first", ">= .98", left_out),
    ("a forged Update: turns the answer, its removal turns it back", "", injected),
    ("chain over 2 chunks", "", chained(2, whole=False)),
    ("chain over 8 chunks", "", chained(8, whole=False)),
    ("chain over 32 chunks", ">= .9", chained(32, whole=False)),
    ("the same 32 chunks at once", "< .5", chained(32, whole=True)),
)

if __name__ == "__main__":
    sys.exit(main())
