"""What is stable stands first: a server's prefix cache serves the next question over the same document."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.pipelines.registry import TOPOLOGIES
from coa.serving.base import Request
from coa.testing import ScriptedModel

QUESTIONS = (
    "Who?",
    "What did the keeper of the light write in his log on the night before the storm, and what did he leave out of it?",
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"On day {n} the sea took {n * 7} stones from the pier of the town.\n" for n in range(300)))
    return path


def prompts(book: Path, topology: str, question: str, window: int) -> dict[tuple[int, int], str]:
    """The prompts that show a stretch of the document, by that stretch."""
    found: dict[tuple[int, int], str] = {}

    def reply(request: Request) -> str:
        if "passage" in request.inputs:
            span = request.inputs["passage"].span
            found[span.start, span.end] = "\n".join(message.content for message in request.messages)
        return f"Notes that differ: {question} {len(found)}"

    coa.ask(book, question, model=ScriptedModel(reply, window=window), topology=topology, window=window, journal=False)
    return found


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_two_questions_share_each_prompt_up_to_the_end_of_its_passage(book: Path, topology: str) -> None:
    window = 16_384 if topology == "single" else 2048
    text = coa.load(book).text
    one, other = (prompts(book, topology, question, window) for question in QUESTIONS)
    assert one.keys() == other.keys(), "questions of different length cut the document at different places"
    assert len(one) > 3 or topology == "single"
    for (start, end), prompt in one.items():
        until = prompt.index(text[start:end].strip()) + len(text[start:end].strip())
        assert prompt[:until] == other[start, end][:until]
        assert prompt[until:] != other[start, end][until:]
