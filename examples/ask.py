"""Ask a question of a long document and show where the answer stands. Needs no model: --model names one."""

import sys
from pathlib import Path

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


def main(model: str = "offline") -> None:
    answer = coa.ask(BOOK, "Who keeps the light on Gull Stack?", model=model)
    print(answer.text)
    for citation in answer.citations:
        print(f"  [{citation.marker}] line {citation.line}: {' '.join(citation.quote.split())}")
    print(f"{answer.coverage.read} of {answer.coverage.chunks} parts read; status {answer.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
