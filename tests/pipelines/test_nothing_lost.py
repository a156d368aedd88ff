"""Every topology with every order: no fact lost, no request over the window, against a server that counts for itself.

The server refuses what is over its context, prompt and asked-for reply together, so refusals are requests over the
window. It says every FACT-n of its prompt, so that a fact is lost only where no call showed it to the next one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import coa
from coa.pipelines.order import ORDERS
from coa.pipelines.paths import KINDS
from coa.pipelines.registry import TOPOLOGIES
from coa.testing import FaultServer

FACT = re.compile(r"FACT-\d+")
FACTS = 24
WIDE = {"single": 8192, "hierarchical": 4096}
"""Topologies that put all into one prompt, the book or its notes, and a window that is wide enough."""

KEEPING = [name for name in TOPOLOGIES if name != "merge"]
"""All but the baseline that keeps the answer of one worker and no other."""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facts") / "book.txt"
    filler = "The sea is grey and wide today. " * 8
    path.write_text("".join(f"FACT-{i} is planted here. {filler}\n\n" for i in range(FACTS)))
    return path


def ask(
    book: Path, server: FaultServer, window: int, topology: str, order: str = "ltr", paths: str = "one"
) -> coa.Answer:
    options = {"model": "openai:fake", "base_url": server.base_url, "journal": False, "window": window}
    return coa.ask(book, "Which facts are planted?", topology=topology, order=order, paths=paths, **options)


def lost(answer: coa.Answer) -> set[str]:
    return {f"FACT-{i}" for i in range(FACTS)} - set(FACT.findall(answer.text))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("topology", KEEPING)
def test_nothing_is_lost_and_nothing_refused(book: Path, topology: str, order: str) -> None:
    window = WIDE.get(topology, 1024)
    with FaultServer("facts", max_context=window) as server:
        answer = ask(book, server, window, topology, order)
    assert not lost(answer)
    assert answer.status == "complete"
    assert server.statuses == {200: answer.usage.calls}
    assert topology in WIDE or answer.coverage.chunks > FACTS // 2


@pytest.mark.parametrize("paths", KINDS)
@pytest.mark.parametrize("topology", [name for name in KEEPING if name not in WIDE])
def test_nor_by_any_of_several_readings(book: Path, topology: str, paths: str) -> None:
    with FaultServer("facts", max_context=1500) as server:
        answer = ask(book, server, 1500, topology, paths=paths)
    assert not lost(answer) and answer.status == "complete"
    assert len(answer.readings) > 1
    for reading in answer.readings:
        assert set(FACT.findall(reading.text)) == {f"FACT-{i}" for i in range(FACTS)}
    assert server.statuses == {200: answer.usage.calls}


@pytest.mark.parametrize("window", [1100, 1333, 1777, 2500, 4096])
@pytest.mark.parametrize("topology", [name for name in KEEPING if name not in WIDE])
def test_so_it_is_in_every_window(book: Path, topology: str, window: int) -> None:
    with FaultServer("facts", max_context=window) as server:
        answer = ask(book, server, window, topology)
    assert not lost(answer)
    assert server.statuses == {200: answer.usage.calls}


@pytest.mark.parametrize("topology", KEEPING)
def test_a_server_that_counts_more_refuses_and_loses_nothing(book: Path, topology: str) -> None:
    """Its tokens are shorter than ours: the first prompts are too long, and what they held is read all the same."""
    window = WIDE.get(topology, 2048)
    with FaultServer("facts", max_context=window, chars_per_token=2.0) as server:
        answer = ask(book, server, window, topology)
    assert not lost(answer)
    assert answer.status == "complete"
    assert server.statuses[400] > 0 or topology in WIDE
