"""One way to summarise a long text, in a process of its own: ``python contenders.py NAME '{"base_url": ...}'``.

The clock starts with the text in memory (for coa, with the file) and everything imported and warm.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

WARM = "WARM-UP"
MOST = 1024
"""Tokens of a reply at most, for all contenders: what coa asks of its workers."""

Given = dict[str, Any]
Work = Callable[[], Awaitable[str]]


async def coa_with(how: str, given: Given) -> Work:
    import coa

    topology, _, paths = how.partition(" ")

    folder = Path(tempfile.mkdtemp())
    options: Given = {"model": "openai:fake", "base_url": given["base_url"], "run_dir": folder / "runs"}
    options |= {"concurrency": given["concurrency"]}
    warm = folder / "warm.txt"
    warm.write_text(WARM)
    await coa.aio.summarize(warm, **options)

    async def work() -> str:
        done = await coa.aio.summarize(
            given["book"], topology=topology, paths=paths or "one", window=given["window"], **options
        )
        assert done.status == "complete", done.warnings
        return done.text

    return work


async def langchain_model(given: Given) -> Any:
    from langchain_openai import ChatOpenAI

    name = given.get("model", "fake")
    model = ChatOpenAI(model=name, base_url=given["base_url"], api_key="none", max_tokens=MOST, temperature=0)
    model.custom_get_token_ids = lambda text: [0] * (len(text) // 4)  # It knows no tokens of a model without a name.
    await model.ainvoke(WARM)
    return model


def langchain_documents(given: Given) -> list[Any]:
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=given["chunk_chars"], chunk_overlap=0)
    return [Document(part) for part in splitter.split_text(given["text"])]


async def langchain(kind: str, given: Given) -> Work:
    from langchain_classic.chains.summarize import load_summarize_chain

    model = await langchain_model(given)

    async def work() -> str:
        chain = load_summarize_chain(model, chain_type=kind)
        return (await chain.ainvoke({"input_documents": langchain_documents(given)}))["output_text"]

    return work


async def langchain_questions(kind: str, given: Given) -> Work:
    from langchain_classic.chains.question_answering import load_qa_chain

    model = await langchain_model(given)

    async def work() -> str:
        chain, documents = load_qa_chain(model, chain_type=kind), langchain_documents(given)
        said = [
            (await chain.ainvoke({"input_documents": documents, "question": question}))["output_text"]
            for question in given["questions"]
        ]
        return "\n".join(said)

    return work


async def llama_index(mode: str, given: Given) -> Work:
    from llama_index.core import get_response_synthesizer
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.response_synthesizers import ResponseMode
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(
        model="fake",
        api_base=given["base_url"],
        api_key="none",
        is_chat_model=True,
        context_window=given["window"],
        max_tokens=MOST,
        temperature=0,
    )
    await model.acomplete(WARM)

    async def work() -> str:
        parts = SentenceSplitter(chunk_size=given["chunk_chars"] // 4, chunk_overlap=0).split_text(given["text"])
        made = get_response_synthesizer(llm=model, response_mode=ResponseMode(mode), use_async=mode != "refine")
        return str(await made.aget_response("Summarize the text.", parts))

    return work


MAKERS: dict[str, Callable[[str, Given], Awaitable[Work]]] = {
    "coa": coa_with,
    "langchain": langchain,
    "langchain-questions": langchain_questions,
    "llama_index": llama_index,
}


async def main(name: str, given: Given) -> None:
    library, _, kind = name.partition(" ")
    work = await MAKERS[library](kind, given)
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    text = await work()
    wall, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "mb": now.ru_maxrss // 1024, "chars": len(text)}))


if __name__ == "__main__":
    told: Given = json.loads(sys.argv[2])
    asyncio.run(main(sys.argv[1], told | {"text": Path(told["book"]).read_text()}))
