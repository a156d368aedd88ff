"""Summarise a long document, with a focus, and see the price before paying it."""

import sys
from pathlib import Path

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


def main(model: str = "offline") -> None:
    plan = coa.plan(BOOK, model=model)
    print(f"{plan.calls} calls, at most {plan.prompt_tokens} prompt tokens, cost {plan.cost_usd} USD")
    answer = coa.summarize(BOOK, words=150, focus="the keeper and the sea", model=model)
    print(answer.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
