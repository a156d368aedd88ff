"""Follow a run as it goes: typed events, the answer last."""

import asyncio
import sys
from pathlib import Path

from coa import events, stream

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


async def main(model: str = "offline") -> None:
    async for event in stream.summarize(BOOK, words=80, window=4096, model=model):
        match event:
            case events.RunStarted(chunks=chunks):
                print(f"{chunks} parts to read")
            case events.StepDone(done=done, steps=steps):
                print(f"step {done} of {steps}")
            case events.RunFinished(answer=answer):
                print(answer.text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
