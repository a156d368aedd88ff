"""The live outline: words of each section, the chapters at work opened, cost and time left."""

import io

from rich.console import Console

from coa.cli.tree import Tree, outline_listener
from coa.events import Planned, SectionDone, SectionStarted, StepDone, Warned
from coa.types import Usage

PLAN = Planned(
    title="The \x1b[2JSound",
    sections=(
        ("1", 1, "Ferries", 1000),
        ("1.1", 2, "Iron", 400),
        ("1.2", 2, "Wood", 600),
        ("2", 1, "Lights", 500),
        ("2.1", 2, "Stacks", 500),
    ),
)


def drawn(tree: Tree) -> str:
    console = Console(file=io.StringIO(), width=70, record=True)
    console.print(tree.render())
    return console.export_text()


def test_it_shows_words_and_opens_the_chapters_at_work():
    clock = iter([0.0, *[60.0] * 50])
    tree = Tree(Console(file=io.StringIO(), force_terminal=True), now=lambda: next(clock))
    tree(PLAN)
    tree(SectionStarted(id="1.1"))
    text = drawn(tree)
    assert "Iron" in text and "Wood" in text and "Lights" in text and "Stacks" not in text and "\x1b" not in text
    tree(SectionDone(id="1.1", words=420))
    tree(StepDone(done=1, steps=3, usage=Usage(prompt_tokens=900, completion_tokens=100, cost_usd=0.5)))
    text = drawn(tree)
    assert "420/1,000" in text and "420 of 1,500 words" in text and "0.5000 USD" in text and "left" in text
    tree(SectionStarted(id="1.2"))
    tree(SectionDone(id="1.2", words=0, problem="refused"))
    tree(SectionDone(id="2.1", words=500))
    tree(Warned(message="one section is missing"))
    text = drawn(tree)
    assert "✗  1. Ferries" in text and "✓  2. Lights" in text and "Stacks" not in text and "left" not in text
    tree.close()


def test_lines_are_shown_where_there_is_no_terminal():
    assert not isinstance(outline_listener(False), Tree) and not isinstance(outline_listener(True), Tree)
