"""The compiled graph as LangGraph users meet it: a checkpointer of their own, and small checkpoints."""

from pathlib import Path

import aiosqlite
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

import coa
from coa.events import Event, StepDone
from coa.pipelines.base import Job
from coa.pipelines.chain import ChainOfAgents
from coa.pipelines.state import outcome
from coa.session import prepare
from coa.testing.scripted import ScriptedModel

CHUNKS_AT_LEAST = 20


def echo(request: coa.Request) -> coa.Reply:
    text = "The notes so far. " * 20
    if request.role == "worker":
        text += f"[[{request.inputs['passage'].text.split('.')[0]}]]."
    return coa.Reply(text=text, finish="stop", model="m")


async def job_over(path: Path, events: list[Event]) -> Job:
    model = ScriptedModel(echo, window=2048)
    task = coa.Task(kind="summary")
    session = await prepare(task, [path], coa.Settings(window=2048), model=model)
    ctx = type(session.ctx)(
        call=model.complete,
        counter=session.ctx.counter,
        prompts=session.ctx.prompts,
        fence=session.ctx.fence,
        task=task,
    )
    return Job(
        documents=session.documents,
        chunks=session.chunks,
        order=session.order,
        ctx=ctx,
        window=session.window,
        emit=events.append,
        usage=coa.Usage,
    )


async def test_checkpoints_grow_linearly_and_stay_under_ten_kilobytes_a_chunk(tmp_path: Path):
    book = tmp_path / "book.txt"
    book.write_text("".join(f"Sentence number {i} stands here alone. " for i in range(4000)))
    events: list[Event] = []
    job = await job_over(book, events)
    assert len(job.chunks) >= CHUNKS_AT_LEAST
    database = tmp_path / "checkpoints.db"
    async with aiosqlite.connect(database) as connection:
        saver = AsyncSqliteSaver(connection)
        graph = ChainOfAgents().compile(saver)
        config = {"configurable": {"thread_id": "one"}, "recursion_limit": len(job.chunks) + 10}
        state = await graph.ainvoke({"i": 0}, config, context=job)
        await connection.execute("pragma wal_checkpoint(truncate)")
    assert database.stat().st_size / len(job.chunks) <= 10 * 1024
    result = outcome(state, job)
    assert result.coverage.complete
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [step.done for step in steps] == list(range(1, len(job.chunks) + 2))
    assert {step.steps for step in steps} == {len(job.chunks) + 1}
