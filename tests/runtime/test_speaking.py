"""The final text in pieces: only for those who listen, never the pieces of two attempts mixed."""

from __future__ import annotations

from pathlib import Path

import coa
from coa.events import Event, RunFinished, TextPiece
from coa.testing.fault import Fault
from coa.testing.faults import FaultServer

STORY = "The keeper left at dawn. " * 40


def told(events: list[Event]) -> str:
    """What a listener shows in the end."""
    text = ""
    for event in events:
        if isinstance(event, TextPiece):
            text = event.text if event.start else text + event.text
    return text


async def ask(path: Path, server: FaultServer, run_dir: Path, **options: object) -> list[Event]:
    stream = coa.stream.ask(
        str(path), "Who left?", model="openai:test", base_url=server.base_url, run_dir=run_dir, window=4096, **options
    )
    return [event async for event in stream]


async def test_the_pieces_make_the_text_and_the_answer_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY, "utf-8")
    reply = "The keeper left, and everybody in the village saw the lantern go out over the water."
    async with FaultServer(reply) as server:
        events = await ask(path, server, tmp_path / "runs")
        streamed = [bool(body.get("stream")) for body in server.requests]
    assert streamed == [False] * (len(streamed) - 1) + [True], "only the manager's call is streamed"
    assert len([event for event in events if isinstance(event, TextPiece)]) > 1
    assert told(events) == reply
    assert isinstance(events[-1], RunFinished)


async def test_a_broken_stream_is_told_anew(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY, "utf-8")
    reply = "The keeper left, and everybody in the village saw the lantern go out over the water."

    def breaks(index: int, body: object) -> Fault | None:
        assert isinstance(body, dict)
        nonlocal broken
        if body.get("stream") and not broken:
            broken = True
            return Fault(cut=400, end="reset")
        return None

    broken = False
    async with FaultServer(reply, faults=breaks) as server:
        events = await ask(path, server, tmp_path / "runs")
    starts = [event for event in events if isinstance(event, TextPiece) and event.start]
    assert broken and len(starts) == 2
    assert told(events) == reply


async def test_nobody_listens_nothing_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY, "utf-8")
    async with FaultServer("The keeper.") as server:
        events = await ask(path, server, tmp_path / "runs", stream=False)
    assert not [event for event in events if isinstance(event, TextPiece)]
    assert not any(body.get("stream") for body in server.requests)


async def test_a_known_reply_and_a_model_without_streams_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY, "utf-8")
    stream = coa.stream.ask(str(path), "Who left?", model="offline", run_dir=tmp_path / "runs")
    events = [event async for event in stream]
    pieces = [event for event in events if isinstance(event, TextPiece)]
    assert len(pieces) == 1 and pieces[0].start
