"""Inside a RAG backend: one question over several documents, JSON out, a budget that cannot be exceeded."""

import asyncio
import json
from pathlib import Path

import coa

DOCUMENTS = Path(__file__).parent / "documents"


async def handle(question: str) -> str:
    """What a request handler would return: the answer, or a typed error that a client can act on."""
    try:
        sources = [DOCUMENTS / "minutes.md", DOCUMENTS / "lighthouse_log.txt"]
        answer = await coa.aio.ask(sources, question, max_calls=50, deadline=60.0)
    except coa.CoaError as error:
        return json.dumps({"error": error.code, "message": error.message, "hint": error.hint})
    return json.dumps(answer.to_dict())


async def main() -> None:
    body = json.loads(await handle("What was decided about the budget?"))
    print(body["status"], body["text"])


if __name__ == "__main__":
    asyncio.run(main())
