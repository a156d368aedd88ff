"""Use a chain as a node of your own LangGraph graph."""

import asyncio
from pathlib import Path
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


class State(TypedDict, total=False):
    question: str
    answer: coa.Answer
    verdict: str


async def read_the_book(state: State) -> State:
    return {"answer": await coa.aio.ask(BOOK, state["question"])}


def judge(state: State) -> State:
    cited = len(state["answer"].citations)
    return {"verdict": "supported" if cited else "not found"}


def build():
    graph = StateGraph(State)
    graph.add_node("read_the_book", read_the_book)
    graph.add_node("judge", judge)
    graph.add_edge(START, "read_the_book")
    graph.add_edge("read_the_book", "judge")
    graph.add_edge("judge", END)
    return graph.compile()


async def main() -> None:
    final = await build().ainvoke({"question": "Who keeps the light on Gull Stack?"})
    print(final["verdict"], "-", final["answer"].text)


if __name__ == "__main__":
    asyncio.run(main())
