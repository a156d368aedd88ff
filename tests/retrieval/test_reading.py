"""`coa ask --retrieve`: the chain reads passages, and cites the documents they are from."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.errors import EmptyDocument, UsageError

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
LOG = DOCUMENTS / "lighthouse_log.txt"
QUESTION = "Who keeps the light on Gull Stack?"


def test_passages_of_a_file_are_read_and_cited_at_their_places(tmp_path: Path) -> None:
    answer = coa.ask(LOG, QUESTION, retrieve=600, run_dir=tmp_path)
    whole = coa.ask(LOG, QUESTION, run_dir=tmp_path)
    text = coa.load(LOG).text
    assert answer.run_id != whole.run_id
    assert [source.path for source in answer.documents] == [str(LOG)]
    assert answer.citations
    for citation in answer.citations:
        assert text[citation.span.start : citation.span.end] == citation.quote
        assert text[: citation.span.start].count("\n") + 1 == citation.line
    assert any("the rest was not retrieved" in warning for warning in answer.warnings)


def test_an_index_is_asked_and_a_run_over_it_resumed(tmp_path: Path) -> None:
    coa.index(DOCUMENTS, tmp_path / "lib").close()
    answer = coa.ask(tmp_path / "lib", QUESTION, retrieve=600, run_dir=tmp_path / "runs")
    assert "Gull Stack" in answer.text
    for citation in answer.citations:
        path = next(source.path for source in answer.documents if source.id == citation.span.doc)
        assert coa.load(path).text[citation.span.start : citation.span.end] == citation.quote
    again = coa.resume(answer.run_id, run_dir=tmp_path / "runs")
    assert again.text == answer.text
    assert again.usage.calls == 0


def test_a_budget_bounds_what_is_read(tmp_path: Path) -> None:
    small = coa.plan(LOG, QUESTION, run_dir=tmp_path)
    read = coa.ask(LOG, QUESTION, retrieve=300, run_dir=tmp_path)
    assert read.coverage.chunks <= small.chunks
    assert any(" 2" in warning and "tokens" in warning for warning in read.warnings)


@pytest.mark.parametrize(("question", "tokens", "kind"), [("zzyzx", 600, EmptyDocument), (QUESTION, 0, UsageError)])
def test_what_cannot_be_read_is_refused(tmp_path: Path, question: str, tokens: int, kind: type[coa.CoaError]) -> None:
    with pytest.raises(kind) as caught:
        coa.ask(LOG, question, retrieve=tokens, run_dir=tmp_path)
    assert caught.value.hint


def test_an_index_is_asked_alone(tmp_path: Path) -> None:
    coa.index(LOG, tmp_path / "lib").close()
    with pytest.raises(UsageError):
        coa.ask([tmp_path / "lib", LOG], QUESTION, retrieve=600, run_dir=tmp_path / "runs")
