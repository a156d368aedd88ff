"""Bring your own model: any object with a name, a window, a counter and `complete`."""

from pathlib import Path

import coa
from coa.tokens import EstimateCounter, TokenCounter

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


class LongestWord:
    """A model that notes the longest word it has seen: not clever, but it shows every part of the protocol."""

    name = "example:longest-word"
    window = 8192

    @property
    def counter(self) -> TokenCounter:
        return EstimateCounter()

    async def complete(self, request: coa.Request) -> coa.Reply:
        if request.role == "worker":
            passage, notes = request.inputs["passage"], request.inputs["notes"]
            word = max((notes.text + " " + passage.text).split(), key=len)
        else:
            word = request.inputs["notes"].text
        return coa.Reply(text=word, finish="stop", model=self.name)

    async def close(self) -> None:
        """Nothing to close."""


def main() -> None:
    answer = coa.summarize(BOOK, model=LongestWord())
    print(f"The longest word is {answer.text!r}, found in {answer.usage.calls} calls.")


if __name__ == "__main__":
    main()
