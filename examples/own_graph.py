"""The chain's compiled graph as a node of your own LangGraph graph, with a session that you prepare."""

import asyncio
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

import coa
from coa.events import ignore
from coa.pipelines.base import Job
from coa.pipelines.state import outcome
from coa.runtime.caller import caller_for
from coa.runtime.journal import MemoryJournal
from coa.session import prepare

LOG = Path(__file__).parent / "documents" / "lighthouse_log.txt"


class State(TypedDict, total=False):
    i: int
    notes: dict[str, Any]
    dropped: int
    unread: list[dict[str, Any]]
    text: str
    words: int


def count(state: State) -> State:
    return {"words": len(state["text"].split())}


async def main() -> None:
    settings = coa.Settings(model="offline", window=4096)
    session = await prepare(coa.Task(kind="qa", query="Who keeps the light on Gull Stack?"), [LOG], settings)
    caller = caller_for((session.model,), settings, MemoryJournal())
    job = session.job(caller, ignore)

    graph = StateGraph(State, context_schema=Job)
    graph.add_node("read", session.pipeline.graph)
    graph.add_node("count", count)
    graph.add_edge(START, "read")
    graph.add_edge("read", "count")
    graph.add_edge("count", END)
    state = await graph.compile().ainvoke({"i": 0}, {"recursion_limit": len(job.chunks) + 20}, context=job)
    print(outcome(state, job).text)
    print(f"{state['words']} words, {caller.usage.calls} calls")


if __name__ == "__main__":
    asyncio.run(main())
