"""`coa.index` as it goes on: what is told, and what is left when nobody waits any more."""

import asyncio
from pathlib import Path

import pytest

import coa
from coa.errors import InputNotFound
from coa.events import DocumentIndexed, Event, IndexFinished, VectorsMade, Warned

LONG = 3_000
"""Passages of a document that fills more than one commit."""


@pytest.fixture
def papers(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text(f"The light of paper {path.stem} was lit at dusk.")
    return paths


async def test_a_stream_of_an_index_tells_each_document_and_ends_with_the_index(papers: list[Path], tmp_path: Path):
    given = [*papers, tmp_path / "missing.txt"]
    events = [event async for event in coa.stream.index(given, tmp_path / "lib")]
    told = [
        (event.path, event.new, event.done, event.documents) for event in events if isinstance(event, DocumentIndexed)
    ]
    assert told == [(str(path), True, number + 1, 3) for number, path in enumerate(papers)]
    assert ["missing.txt" in event.message for event in events if isinstance(event, Warned)] == [True]
    last = events[-1]
    assert isinstance(last, IndexFinished)
    assert [failure.path for failure in last.index.failures] == [str(tmp_path / "missing.txt")]
    assert len(last.index.find("paper 2", 3)) == 3
    last.index.close()
    with pytest.raises(InputNotFound):
        _ = [event async for event in coa.stream.index(tmp_path / "missing.txt", tmp_path / "lib")]


def test_the_plain_function_tells_the_same(papers: list[Path], tmp_path: Path):
    coa.index(papers[0], tmp_path / "lib").close()
    told: list[Event] = []
    coa.index(papers, tmp_path / "lib", on_event=told.append).close()
    assert [event.new for event in told if isinstance(event, DocumentIndexed)] == [False, True, True]


@pytest.mark.slow
async def test_vectors_are_told(papers: list[Path], tmp_path: Path):
    pytest.importorskip("sentence_transformers")
    events = [event async for event in coa.stream.index(papers, tmp_path / "lib", embedder="minilm")]
    assert VectorsMade(done=3, passages=3) in events
    assert isinstance(events[-1], IndexFinished)
    events[-1].index.close()


@pytest.mark.slow
async def test_an_index_that_nobody_waits_for_ends_at_its_commit_and_goes_on_later(tmp_path: Path):
    paths = [tmp_path / f"{number}.txt" for number in range(4)]
    for path in paths:
        path.write_text("\n\n".join(f"{path.stem} {row} " + "The ferry crossed. " * 60 for row in range(LONG)))
    told: list[Event] = []
    events = coa.stream.index(paths, tmp_path / "lib")
    first = await anext(events)
    assert isinstance(first, DocumentIndexed)
    await events.aclose()
    left = await asyncio.to_thread(coa.index, paths, tmp_path / "lib", on_event=told.append)
    assert len(left.sources) == 4
    left.close()
    news = [event.new for event in told if isinstance(event, DocumentIndexed)]
    assert news[0] is False and news[-1] is True
