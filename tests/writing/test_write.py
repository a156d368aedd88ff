"""Whole documents, written through the real runtime by models that behave and models that do not."""

import asyncio
import itertools
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.cli.main import app
from coa.config import Settings
from coa.errors import AuthenticationFailed, BudgetExceeded, MalformedReply, MissingExtra, RateLimited, UsageError
from coa.retrieval.terms import word_count
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.writing.check import check
from coa.writing.export import export, html_of, markdown_of
from coa.writing.measure import length_score
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, forecast, outline_of, write

BRIEF = "A guide to the sound."
LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"


def settings(tmp_path: Path, **more) -> Settings:
    return Settings(run_dir=tmp_path / "runs", **more)


def length(text: str) -> int:
    return word_count("\n".join(line for line in text.splitlines() if not line.startswith("#")))


@pytest.mark.parametrize("bias", [0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("words", [2_000, 20_000])
async def test_the_length_is_kept_whatever_the_model_tends_to(words: int, bias: float, tmp_path: Path):
    model = biased_writer(bias)
    answer = await write(BRIEF, settings(tmp_path, journal=False), WriteOptions(words=words, parallel=8), model=model)
    assert answer.status == "complete" and length_score(words, length(answer.text)) >= 95
    # Words made of two syllables at random meet those syllables apart: no prose does that.
    assert not [finding for finding in check(answer.text, words).findings if finding.check != "variants"]
    prompts = [model.counter.count(request.messages[-1].content) for request in model.requests]
    assert max(prompts) < 8_000
    planned = [request for request in model.requests if request.role == "planner"]
    assert len(planned) == (1 if words == 2_000 else 1 + round(34 / 8))


async def test_headings_are_the_plans_and_the_models_are_taken_out(tmp_path: Path):
    def reply(request: Request) -> str:
        if request.role == "planner":
            return "Title: The Sound\nFerries | go | 1 | a\nLights | shine | 1 | b\nStorms | blow | 1 | c"
        words = " ".join(f"word{i}{len(request.messages[-1].content)}" for i in range(600))
        return f"## Ferries\n\n**Ferries**\n\n{words}."

    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=1800), model=ScriptedModel(reply))
    headings = [line for line in answer.text.splitlines() if line.startswith("#")]
    assert headings == ["# The Sound", "## Ferries", "## Lights", "## Storms"]


async def test_chapters_side_by_side_give_the_same_bytes(tmp_path: Path):
    texts = []
    for parallel in (1, 8):
        given = settings(tmp_path, journal=False)
        answer = await write(BRIEF, given, WriteOptions(words=9_000, parallel=parallel), model=biased_writer(0.8))
        texts.append(answer.text)
    assert texts[0] == texts[1]


async def test_chapters_side_by_side_are_in_flight_together(tmp_path: Path):
    now, most = 0, 0
    inner = biased_writer()

    async def reply(request: Request) -> Reply:
        nonlocal now, most
        now += request.role == "writer"
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= request.role == "writer"
        return await inner.complete(request)

    given = settings(tmp_path, journal=False, concurrency=16)
    await write(BRIEF, given, WriteOptions(words=40_000, parallel=8), model=ScriptedModel(reply, window=200_000))
    assert most >= 6


@pytest.mark.parametrize("at", [1, 2, 5, 11])
async def test_a_run_that_breaks_goes_on_with_the_same_bytes(at: int, tmp_path: Path):
    whole = await write(BRIEF, settings(tmp_path / "whole"), WriteOptions(words=6_000), model=biased_writer(0.6))
    inner, calls = biased_writer(0.6), itertools.count()

    async def breaking(request: Request) -> Reply:
        if next(calls) >= at:
            raise AuthenticationFailed("the key is gone")
        return await inner.complete(request)

    broken = ScriptedModel(breaking, window=200_000, name="scripted:writer")
    with pytest.raises(AuthenticationFailed):
        await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000, parallel=1), model=broken)
    model = biased_writer(0.6)
    again = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000, parallel=1), model=model)
    assert again.text == whole.text and again.usage.calls_from_journal == at
    assert again.usage.calls == len(model.requests) == whole.usage.calls - at


async def test_a_budget_stops_and_a_larger_one_goes_on(tmp_path: Path):
    with pytest.raises(BudgetExceeded):
        await write(BRIEF, settings(tmp_path, max_calls=4), WriteOptions(words=6_000), model=biased_writer())
    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000), model=biased_writer())
    assert answer.usage.calls_from_journal == 4 and answer.status == "complete"


async def test_refusals_and_errors_are_never_content(tmp_path: Path):
    inner = biased_writer()

    async def reply(request: Request):
        if request.role == "writer" and 'section "' in request.messages[-1].content and "Bad" in _section(request):
            return "I'm sorry, I cannot help with that."
        if request.role == "planner":
            return "Title: T\nGood | a | 1 | x\nBad | b | 1 | y\nFine | c | 1 | z"
        return await inner.complete(request)

    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=1800), model=ScriptedModel(reply))
    assert answer.status == "partial" and "sorry" not in answer.text and "## Bad" not in answer.text
    assert answer.coverage.chunks == 3 and answer.coverage.read == 2
    assert "RefusedReply" in answer.coverage.failed[0].reason and answer.coverage.failed[0].reason.startswith("Bad")


def _section(request: Request) -> str:
    return request.messages[-1].content.rsplit('Now the section "', 1)[-1].split('"')[0]


async def test_loops_and_copies_are_asked_for_again_or_cut(tmp_path: Path):
    seen: list[str] = []

    def reply(request: Request) -> str:
        if request.role == "planner":
            return "Title: T\nOne | a | 1 | x\nTwo | b | 1 | y"
        seen.append(request.messages[-1].content)
        return "The lamp was lit and the oil was very low again. " * 60

    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=1000), model=ScriptedModel(reply))
    assert answer.text.count("The lamp was lit") <= 2 and any("repeats itself" in w for w in answer.warnings)
    assert any("Do not repeat: the same phrases" in prompt for prompt in seen)


async def test_a_cut_reply_ends_with_a_whole_sentence_and_is_continued(tmp_path: Path):
    inner = biased_writer()

    async def reply(request: Request):
        said = await inner.complete(request)
        if request.role == "writer" and "The section so far" not in request.messages[-1].content:
            half = said.text[: len(said.text) // 2]
            return Reply(text=half, finish="length", model="m")
        return said

    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=1200), model=ScriptedModel(reply))
    assert check(answer.text, 1200).findings == () and answer.status == "complete"


async def test_a_model_that_cannot_plan_is_asked_three_times(tmp_path: Path):
    model = ScriptedModel(lambda request: "Let me think about it.")
    with pytest.raises(MalformedReply, match="no outline"):
        await write(BRIEF, settings(tmp_path), WriteOptions(words=2000), model=model)
    assert len(model.requests) == 3 and "could not be used" in model.requests[-1].messages[-1].content


async def test_it_retries_and_reports_what_was_spent(tmp_path: Path):
    inner, failures = biased_writer(), iter([RateLimited("busy", retry_after=0.01)] * 3)

    async def reply(request: Request):
        return next(failures, None) or await inner.complete(request)

    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=600), model=ScriptedModel(reply))
    assert answer.status == "complete" and answer.usage.calls >= 2


async def test_sources_are_cited_to_the_letter_and_strange_marks_dropped(tmp_path: Path):
    inner = biased_writer()

    async def reply(request: Request):
        if request.role == "planner":
            return "The light on Gull Stack | who keeps it | 1 | Martha Quill\nThe Halcyon | its loss | 1 | wreck"
        evidence = request.inputs["evidence"]
        marks = f"[{evidence[0].marker}] [{evidence[0].marker[:3]}9999] [7]"
        text = (await inner.complete(request)).text
        return f"Somebody keeps the light {marks}. {text}"

    answer = await write(
        BRIEF, settings(tmp_path), WriteOptions(words=1000), [LOG], model=ScriptedModel(reply, window=100_000)
    )
    document = coa.load(LOG)
    assert len(answer.citations) == 2 and any("Martha Quill" in c.quote for c in answer.citations)
    for citation in answer.citations:
        assert document.read(citation.span) == citation.quote and f"[{citation.marker}]" in answer.text
    assert any("pointed nowhere" in warning for warning in answer.warnings) and "9999" not in answer.text
    assert "## References" in markdown_of(answer) and "(7)" in answer.text


async def test_sections_without_evidence_are_named(tmp_path: Path):
    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=1000), [LOG], model=biased_writer())
    assert any(warning.startswith("sections that cite no source: 1") for warning in answer.warnings)


async def test_offline_makes_a_digest_and_says_so(tmp_path: Path):
    answer = await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=1500), [LOG])
    document = coa.load(LOG)
    assert answer.status == "complete" and any("no language model" in warning for warning in answer.warnings)
    assert len(answer.citations) > 10
    for citation in answer.citations:
        assert document.read(citation.span) == citation.quote
        assert " ".join(citation.quote.split()) in answer.text
    with pytest.raises(UsageError, match="invents nothing"):
        await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=1500))


async def test_the_published_method_runs_for_comparison(tmp_path: Path):
    model = biased_writer()
    options = WriteOptions(words=3000, method="agentwrite")
    answer = await write(BRIEF, settings(tmp_path), options, model=model)
    assert len(model.requests) == 7 and answer.usage.calls == 7
    sizes = [len(request.messages[-1].content) for request in model.requests[1:]]
    assert sizes == sorted(sizes) and sizes[-1] > 3 * sizes[0]


@pytest.mark.parametrize(
    ("brief", "options"),
    [
        (" ", WriteOptions()),
        ("x", WriteOptions(words=3)),
        ("x", WriteOptions(words=10**9)),
        ("x", WriteOptions(method="magic")),
        ("x", WriteOptions(parallel=0)),
    ],
)
async def test_nonsense_is_refused(brief: str, options: WriteOptions, tmp_path: Path):
    with pytest.raises(UsageError):
        await write(brief, settings(tmp_path), options, model=biased_writer())


async def test_a_plan_is_made_edited_and_followed(tmp_path: Path):
    made = await outline_of(BRIEF, settings(tmp_path), WriteOptions(words=6000), model=biased_writer())
    assert sum(leaf.words for leaf in made.leaves()) == 6000 == made.words
    data = made.model_dump()
    data["sections"][0]["title"] = "Edited by hand"
    edited = Outline.model_validate(data)
    options = WriteOptions(words=6000, outline=edited)
    answer = await write(BRIEF, settings(tmp_path), options, model=biased_writer())
    assert "## Edited by hand" in answer.text


def test_the_forecast_is_close_to_what_is_spent(tmp_path: Path):
    given = settings(tmp_path, model="openai:gpt-5-mini")
    plan = forecast(given, WriteOptions(words=20_000))
    model = biased_writer(0.8)
    asyncio.run(write(BRIEF, settings(tmp_path, journal=False), WriteOptions(words=20_000), model=model))
    spent = sum(model.counter.count(request.messages[-1].content) for request in model.requests)
    assert 0.6 * plan.prompt_tokens <= spent <= plan.prompt_tokens
    assert len(model.requests) <= plan.calls and plan.cost_usd and plan.cost_usd > 0


def test_the_commands_write_check_and_export(tmp_path: Path):
    runner = CliRunner()
    common = ["--model", "offline", "--run-dir", str(tmp_path / "runs"), "--source", str(LOG), "--words", "800"]
    for name in ("out.md", "out.html"):
        done = runner.invoke(app, ["write", "The year", *common, "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    assert "## References" in (tmp_path / "out.md").read_text("utf-8")
    assert "<h2" in (tmp_path / "out.html").read_text("utf-8")
    checked = runner.invoke(app, ["check", str(tmp_path / "out.md"), "--json"])
    assert checked.exit_code == 0, checked.output
    result = runner.invoke(app, ["write", "The year", *common, "--json"])
    assert json.loads(result.stdout)["coverage"]["chunks"] >= 1
    dry = runner.invoke(app, ["write", "x", "--words", "20000", "--model", "openai:gpt-5-mini", "--dry-run", "--json"])
    assert json.loads(dry.stdout)["calls"] > 34
    assert runner.invoke(app, ["check", str(tmp_path / "absent.md")]).exit_code != 0
    wrong = runner.invoke(app, ["write", "The year", *common, "-o", str(tmp_path / "out.xyz")])
    assert isinstance(wrong.exception, UsageError)


async def test_html_in_a_text_is_shown_and_not_obeyed():
    page = html_of("# <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<script>" not in page and "<img" not in page and "<td>1</td>" in page


@pytest.mark.slow
async def test_office_formats_are_written_by_pandoc(tmp_path: Path):
    answer = await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=800), [LOG])
    try:
        for suffix in (".docx", ".epub", ".pdf"):
            export(answer, tmp_path / f"out{suffix}")
    except MissingExtra as error:
        pytest.skip(error.message)
    assert "word/document.xml" in zipfile.ZipFile(tmp_path / "out.docx").namelist()
    assert zipfile.ZipFile(tmp_path / "out.epub").testzip() is None
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    pdf = coa.load(tmp_path / "out.pdf")
    assert "The year" in pdf.text
