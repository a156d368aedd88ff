"""A document of 20,000 words, from the brief to every format, over HTTP: what is promised of it, all at once."""

import re
from pathlib import Path

import pytest

import coa
from coa.config import Settings
from coa.errors import MissingExtra
from coa.retrieval.terms import word_count
from coa.testing import FaultServer
from coa.testing.writers import said
from coa.writing.check import check
from coa.writing.export import export, markdown_of
from coa.writing.markdown import headings, without_apparatus
from coa.writing.measure import length_score
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, write

LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"
SUBJECTS = "lamp oil storm Halcyon Quill ferry keeper boat light fog wreck harbour nails supply winter gulls rock wick"
WORDS = 20_000


def speak(prompt: str) -> str:
    """Prose of invented words with tables, lists, code and citations, under titles that the source knows."""
    reply, subjects = said(prompt, furnished=True), SUBJECTS.split()

    def titled(match: re.Match[str]) -> str:
        number = int(match[1]) + len(prompt)
        return f"{match[1]}. The {subjects[number % len(subjects)]} and {match[2].strip().lower()} |"

    return re.sub(r"^(\d+)\. (.*?)\|", titled, reply, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_twenty_thousand_words_from_the_brief_to_every_format(tmp_path: Path):
    async with FaultServer(speak) as server:
        given = Settings(
            run_dir=tmp_path, model="openai:test", base_url=server.base_url, window=100_000, concurrency=16
        )
        answer = await write("The light on Gull Stack", given, WriteOptions(words=WORDS, parallel=8), [LOG])
        largest = server.max_prompt_tokens
        calls = server.hits
        again = await write("The light on Gull Stack", given, WriteOptions(words=WORDS, parallel=8), [LOG])
        assert server.hits == calls and again.text == answer.text
    outline = Outline.from_yaml(tmp_path / answer.run_id / "plan.yaml")
    markdown = markdown_of(answer)
    report = check(markdown, None, outline)
    assert answer.status == "complete" and [each for each in report.findings if each.fails] == []
    planned = [(2, section.title) for section in outline.sections]
    assert [row for row in headings(without_apparatus(markdown)) if row[0] == 2] == planned
    body = "\n".join(line for line in answer.text.splitlines() if not line.startswith("#"))
    assert length_score(WORDS, word_count(body)) >= 95 and largest < 8_000
    document = coa.load(LOG)
    assert len(answer.citations) > 20
    for citation in answer.citations:
        assert document.read(citation.span) == citation.quote and f"[{citation.marker}]" in answer.text
        assert f"characters {citation.span.start}–{citation.span.end}" in markdown
    try:
        for suffix in (".md", ".html", ".docx", ".epub", ".pdf"):
            export(answer, tmp_path / f"out{suffix}")
    except MissingExtra as error:
        pytest.skip(error.message)
    leaf = outline.leaves()[-1].title
    for suffix in (".html", ".docx", ".epub", ".pdf"):
        assert leaf in " ".join(coa.load(tmp_path / f"out{suffix}").text.split()), suffix
