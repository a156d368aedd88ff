"""Closed questions and a pair of claims. With a model: typed outcomes; offline: what bears on them."""

from pathlib import Path

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"

answer = coa.ask(BOOK, "Is Martha Quill the keeper on Gull Stack?", choices=("yes", "no"), model="offline")
assert answer.choice is not None
print(answer.choice.outcome, answer.choice.chosen)
print(answer.text)

pair = coa.verify_pair(
    BOOK, "Martha Quill keeps the light on Gull Stack.", "Nobody keeps the light on Gull Stack.", model="offline"
)
print("pair:", pair.outcome, "consistent" if pair.consistent else "")
