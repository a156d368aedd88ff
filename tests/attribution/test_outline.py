"""The search along a document's own sections."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import coa
from coa.attribution.groups import cut
from coa.attribution.outline import Outline
from coa.attribution.segments import segments_of
from coa.cli.main import app
from coa.tokens import EstimateCounter
from coa.types import Span
from tests.attribution.conftest import EchoServer

FACT = "The treasurer Odalys Brandt hid the ledger beneath the organ."


def book(where: Path) -> Path:
    """Five chapters of two sections, two paragraphs each; the fact stands in ``Chapter 4 > The quay``."""
    lines: list[str] = []
    for chapter in range(1, 6):
        lines.append(f"# Chapter {chapter}")
        for section in ("The harbour", "The quay"):
            lines.append(f"## {section}")
            for paragraph in range(2):
                days = [f"Nobody was aboard on day {chapter}{paragraph}{day}." for day in range(6)]
                if (chapter, section, paragraph) == (4, "The quay", 1):
                    days.insert(2, FACT)
                lines.append(" ".join(days))
    path = where / "book.md"
    path.write_text("\n\n".join(lines), "utf-8")
    return path


def test_borders_are_those_of_the_document_its_headings_and_its_paragraphs(tmp_path: Path):
    document = coa.load(book(tmp_path))
    spans = [segment.span for segment in segments_of([document], EstimateCounter())]
    outline = Outline([document])
    edges = outline.edges(spans)
    assert len(edges) == len(spans) and edges[0] == 0
    strength = {document.read(span).split("\n")[0]: edge for span, edge in zip(spans, edges, strict=True)}
    assert strength["# Chapter 3"] > strength["## The quay"] > strength["Nobody was aboard on day 310."] > 0
    assert strength["Nobody was aboard on day 311."] == 0
    at = next(span for span in spans if document.read(span) == FACT)
    assert outline.title(at, at) == "Chapter 4 > The quay"
    assert outline.title(spans[0], spans[-1]) == "Chapter 1 … Chapter 5"
    assert outline.edges([]) == () and outline.edges([None, None]) == ()
    assert outline.edges([spans[1], Span(doc=document.id, start=spans[1].end, end=spans[1].end + 1)]) == ()


def test_groups_are_chapters_then_sections_then_paragraphs(tmp_path: Path):
    document = coa.load(book(tmp_path))
    spans = [segment.span for segment in segments_of([document], EstimateCounter())]
    edges = Outline([document]).edges(spans)

    def first(group: tuple[int, ...]) -> str:
        return document.read(spans[group[0]])

    chapters = cut(range(len(spans)), 5, edges)
    assert [first(group) for group in chapters] == [f"# Chapter {i}" for i in range(1, 6)]
    assert first(cut(chapters[3], 2, edges)[1]) == "## The quay"
    assert first(cut(cut(chapters[3], 2, edges)[1], 2, edges)[1]) == "Nobody was aboard on day 410."


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.integers(1, 12))
def test_groups_hold_everything_in_order_and_stay_nearly_even(edges: list[int], parts: int):
    ids = list(range(len(edges)))
    groups = cut(ids, parts, edges)
    assert [i for group in groups for i in group] == ids and all(groups) and len(groups) <= parts
    assert max(map(len, groups)) <= 1.8 * len(ids) / parts + 1
    assert len(ids) < 2 or parts < 2 or len(groups) > 1
    assert cut(ids, parts) == cut(ids, parts, [0] * len(ids))


def test_the_search_names_the_sections_and_ends_at_the_sentence(server: EchoServer, tmp_path: Path):
    path, page = book(tmp_path), tmp_path / "page.html"
    words = ["--source", str(path), "--question", "Where is the ledger?", "--answer", FACT, "--html", str(page)]
    common = ["--model", "vllm:tiny", "--base-url", server.url, "--run-dir", str(tmp_path / "runs"), "--json"]
    done = CliRunner().invoke(app, ["trace", *words, *common])
    assert done.exit_code == 0, done.output
    (claim,) = json.loads(done.stdout)["claims"]
    assert [cause["quote"] for cause in claim["causes"]] == [FACT]
    named = [round["best"][0]["sections"] for round in claim["rounds"]]
    assert ["Chapter 4 > The quay"] in named
    assert "(Chapter 4 &gt; The quay)" in page.read_text("utf-8")
