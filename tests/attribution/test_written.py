"""A written text traced to its sources: each sentence that cites, to the passages that its section was shown."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.attribution.page import trace_to_html
from coa.attribution.report import trace_to_dict
from coa.attribution.run import trace_run
from coa.attribution.terminal import trace_to_text
from coa.cli.main import app
from coa.config import Settings
from coa.errors import InputChanged, UsageError
from coa.runtime.runs import Runs
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, redo, write

BRIEF = "The treasurer and the keeper."
ORGAN = "The treasurer Odalys Brandt hid the ledger of zinc beneath the organ."
LAMP = "Quill the keeper lit the lamp with whale oil every evening."
FILLER = "On day {} the ferry crossed the sound with {} crates of nails and nobody aboard."


@pytest.fixture
def book(tmp_path: Path) -> Path:
    lines = [FILLER.format(i, i + 3) for i in range(60)]
    lines[20], lines[40] = ORGAN, LAMP
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(lines), "utf-8")
    return path


@pytest.fixture
def given(tmp_path: Path, server) -> Settings:
    return Settings(run_dir=tmp_path / "runs", model="vllm:tiny", base_url=server.url, window=8192)


def plan() -> Outline:
    """Two chapters of one section each."""
    leaves = [
        {"id": "1.1", "title": "The treasurer Odalys", "words": 40, "goal": "ledger of zinc beneath the organ"},
        {"id": "2.1", "title": "Quill the keeper", "words": 40, "goal": "lamp lit with whale oil"},
    ]
    chapters = [
        {"id": leaf["id"][0], "title": f"On {leaf['title']}", "words": 40, "children": [leaf]} for leaf in leaves
    ]
    return Outline.model_validate({"title": "T", "brief": BRIEF, "words": 80, "sections": chapters})


def author() -> ScriptedModel:
    """Cites what it was shown, and adds sentences that rest on nothing; its seams reword a sentence that cites."""

    def reply(request: Request) -> str:
        if request.role == "editor":
            return json.dumps(
                [{"section": "2.1", "find": "the keeper lit", "replace": "the old keeper of the light lit"}]
            )
        first = request.inputs["section"].id == "1.1"
        fact = ORGAN if first else LAMP
        mark = next(item.marker for item in request.inputs["evidence"] if fact in item.quote)
        own = "aa bb cc dd ee ff gg hh ii jj kk ll mm" if first else "nn oo pp qq rr ss tt uu vv ww xx yy zz"
        more = "It is said that few people know more of this, and that those who do are silent about all of it."
        return f"{fact[:-1]} [{mark}]. {own.capitalize()}. {more if first else 'Nobody else was there by then.'} {own}!"

    return ScriptedModel(reply, window=100_000, name="vllm:tiny")


async def text_of(book: Path, given: Settings, *, edits: bool = False):
    options = WriteOptions(words=80, outline=plan(), memory="rolling", edits=edits)
    return await write(BRIEF, given, options, [book], model=author())


async def test_each_citing_sentence_is_traced_to_its_passage(book: Path, given: Settings, server):
    answer = await text_of(book, given)
    assert len(answer.citations) == 2 and answer.status == "complete"
    folder = Runs(given.run_dir).folder(Runs(given.run_dir).get(answer.run_id))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".md", ".json", ".yaml")}
    done = await trace_run(answer.run_id, given)
    trace, document = done.trace, done.documents[0]
    shown = [trace.answer[claim.start : claim.end] for claim in trace.claims]
    assert shown == [ORGAN, LAMP] and not re.search(r"\[\d+\]", trace.answer)
    for claim, citation in zip(trace.claims, answer.citations, strict=True):
        first = trace.segments[claim.found.causes[0].segment]
        assert document.read(first.span) == first.text
        assert first.span == citation.span and claim.hops[0].agent == "writer" and claim.found.certified
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".md", ".json", ".yaml")}
    assert after == before, "a trace only reads"
    data = trace_to_dict(trace, done.documents)
    assert [hop["agent"] for claim in data["claims"] for hop in claim["hops"]] == ["writer", "writer"]
    assert "writer" in trace_to_text(trace, done.documents) and ORGAN in trace_to_html(trace, done.documents)
    again = await trace_run(answer.run_id, given)
    assert again.trace.claims == trace.claims and again.trace.usage.calls == 0


async def test_a_section_written_anew_is_traced_to_what_it_was_written_from(book: Path, given: Settings, server):
    answer = await text_of(book, given)
    inner = author()

    async def other(request: Request) -> str:
        said = (await inner.complete(request)).text
        return said.replace("lit the lamp", "kept the lamp burning")

    model = ScriptedModel(other, window=100_000, name="vllm:tiny")
    second = await redo(answer.run_id, ["2.1"], "", given, model=model)
    assert "kept the lamp burning" in second.text
    trace = (await trace_run(answer.run_id, given)).trace
    assert [trace.answer[c.start : c.end][:35] for c in trace.claims] == [
        ORGAN[:35],
        "Quill the keeper kept the lamp burn",
    ]
    assert all(claim.hops for claim in trace.claims)


async def test_a_sentence_that_was_edited_is_matched_by_its_words(book: Path, given: Settings, server):
    answer = await text_of(book, given, edits=True)
    edited = LAMP.replace("the keeper lit", "the old keeper of the light lit")
    assert edited[:-1] in answer.text
    trace = (await trace_run(answer.run_id, given)).trace
    assert [trace.answer[claim.start : claim.end] for claim in trace.claims] == [ORGAN, edited]
    assert trace.claims[1].hops[0].text.startswith(LAMP[:-1]), "what was scored is what the model wrote"


async def test_what_leaves_nothing_to_trace_is_said(book: Path, tmp_path: Path, given: Settings, server):
    options = WriteOptions(words=80, outline=plan(), edits=False)
    model = ScriptedModel(
        lambda request: "Some words that stand for themselves. " * 3, window=100_000, name="vllm:tiny"
    )
    bare = await write(BRIEF, given, options, model=model)
    with pytest.raises(UsageError, match="without sources"):
        await trace_run(bare.run_id, given)
    answer = await text_of(book, given)
    (tmp_path / "book.txt").write_text("Another book.", "utf-8")
    with pytest.raises(InputChanged):
        await trace_run(answer.run_id, given)


def test_a_digest_is_traced_on_the_command_line(book: Path, tmp_path: Path):
    where = ["--run-dir", str(tmp_path / "runs"), "-q"]
    runner = CliRunner()
    text = ["write", "The sound", "--model", "offline", "--source", str(book), "--words", "300"]
    done = runner.invoke(app, [*text, "--json", *where])
    answer = json.loads(done.stdout)
    traced = runner.invoke(app, ["trace", answer["run_id"], "--json", *where])
    assert traced.exit_code == 0, (traced.output, traced.exception)
    found = json.loads(traced.stdout)
    assert found["kind"] == "support" and len(found["claims"]) >= len(answer["citations"]) > 3
    document = coa.load(book)
    for claim in found["claims"]:
        assert claim["causes"][0]["quote"] == " ".join(claim["text"].split())
        assert document.text[claim["causes"][0]["start"] : claim["causes"][0]["end"]] == claim["causes"][0]["quote"]
