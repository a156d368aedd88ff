"""A chain's answer traced back through the hands of its agents, with the prompts that were really sent."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.attribution.choose import Scored
from coa.attribution.page import trace_to_html
from coa.attribution.pieces import expanded, note_spans, pieces_of
from coa.attribution.prompting import SentPrompting
from coa.attribution.replay import played
from coa.attribution.report import trace_to_dict
from coa.attribution.run import trace_run
from coa.attribution.terminal import trace_to_text
from coa.attribution.trace import TraceOptions
from coa.cli.main import app
from coa.config import Settings
from coa.errors import InputChanged, RunNotFound, UsageError
from coa.runtime.runs import Runs
from coa.serving.resolve import resolve_model

QUESTION = "Where did the treasurer hide the ledger of zinc?"
FACTS = {
    40: "The treasurer Odalys Brandt hid the ledger beneath the organ.",
    160: "Inside the ledger of zinc the treasurer had listed forty ingots.",
}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    lines = [f"On day {i} the ferry crossed the sound with {i + 3} crates and nobody aboard." for i in range(190)]
    for place, fact in FACTS.items():
        lines.insert(place, fact)
    path = tmp_path / "book.txt"
    path.write_text("\n".join(lines), "utf-8")
    return path


async def asked(book: Path, given: Settings):
    return await coa.aio.ask(book, QUESTION, **given.model_dump(exclude_unset=True))


async def test_the_journal_gives_every_prompt_and_its_pieces(book: Path, given: Settings, server):
    answer = await asked(book, given)
    sent = len(server.asked)
    runs = Runs(given.run_dir)
    manifest = runs.get(answer.run_id)
    run = await played(manifest, runs, given, resolve_model(given))
    assert len(server.asked) == sent  # nothing was sent
    with runs.journal(manifest) as journal:
        prompts = {entry.record.messages for entry in journal.entries()}
    document = coa.load(book)
    for step in run.steps:
        assert tuple((each.role, each.content) for each in step.request.messages) in prompts
        pieces = pieces_of(step.request, run.fence.tag)
        prompting = SentPrompting(sent=step.request.messages, ranges=[piece.ranges for piece in pieces])
        everything = frozenset(range(len(pieces)))
        assert prompting.messages(everything) == step.request.messages
        for index, piece in enumerate(pieces):
            assert piece.span is None or document.read(piece.span) == piece.text
            left = prompting.messages(everything - {index})[-1].content
            assert left.count(piece.text) == step.request.messages[-1].content.count(piece.text) - 1
    assert run.steps[-1].agent == "manager" and sum(step.agent == "worker" for step in run.steps) >= 2


async def test_an_answer_is_traced_to_its_notes_and_on_to_the_sentences(book: Path, given: Settings, server):
    answer = await asked(book, given)
    assert answer.coverage.chunks > 5
    done = await trace_run(answer.run_id, given)
    found = done.trace
    (claim,) = found.claims
    first, *behind = claim.hops
    assert first.agent == "manager" and all(cause.kind == "note" for cause in first.causes)
    assert {hop.agent for hop in behind} == {"worker"}
    reader = behind[0]
    quotes = {found.segments[cause.segment].text for cause in claim.found.causes}
    assert quotes and quotes <= set(FACTS.values())
    document = done.documents[0]
    for segment in found.segments:
        assert document.read(segment.span) == segment.text
    assert reader.part and first.causes[0].hop == 1 and claim.found.certified
    # The worker that wrote the note first is found, not the last of those that handed it on.
    chunk = next(c for c in (await _chunks(book, given)) if c.index + 1 == reader.part)
    assert chunk.span.start <= found.segments[0].span.start < chunk.span.end
    assert found.search.equivalents > 0 and found.usage.calls == found.search.calls
    again = await trace_run(answer.run_id, given)
    assert again.trace.claims == found.claims and again.trace.usage.calls == 0


async def _chunks(book: Path, given: Settings):
    from coa.session import prepare
    from coa.types import Task

    session = await prepare(Task(kind="qa", query=QUESTION), [book], given)
    return session.chunks


@pytest.mark.slow
async def test_both_hops_stand_in_every_report(book: Path, given: Settings, server):
    answer = await asked(book, given)
    done = await trace_run(answer.run_id, given)
    data = trace_to_dict(done.trace, done.documents)
    hops = data["claims"][0]["hops"]
    assert [hop["agent"] for hop in hops][:2] == ["manager", "worker"]
    assert hops[0]["causes"][0]["kind"] == "note" and hops[0]["causes"][0]["hop"] == 1
    assert hops[1]["causes"][0]["quote"] in FACTS.values() and hops[1]["causes"][0]["line"] in (41, 161)
    text, html = trace_to_text(done.trace, done.documents), trace_to_html(done.trace, done.documents)
    assert "manager" in text and f"worker {hops[1]['part']} of {hops[1]['parts']}" in text
    assert 'class="hop"' in html and "full-context" in html
    json.dumps(data)


@pytest.mark.parametrize(
    "topology",
    ["tree", pytest.param("map-then-chain", marks=pytest.mark.slow), pytest.param("single", marks=pytest.mark.slow)],
)
async def test_other_topologies_are_traced_too(topology: str, book: Path, given: Settings, server):
    wide = given.model_copy(update={"topology": topology, "window": 32_768 if topology == "single" else 2048})
    answer = await asked(book, wide)
    done = await trace_run(answer.run_id, wide)
    causes = [cause for claim in done.trace.claims for cause in claim.found.causes]
    assert {done.trace.segments[cause.segment].text for cause in causes} & set(FACTS.values())
    assert done.trace.claims[0].hops[0].agent == ("reader" if topology == "single" else "manager")


async def test_the_budget_counts_all_hops_together(book: Path, given: Settings, server):
    answer = await asked(book, given)
    paid = len(server.prompts)
    tight = given.model_copy(update={"max_calls": 9})
    done = await trace_run(answer.run_id, tight)
    assert len(server.prompts) - paid <= 9 and not any(claim.found.certified for claim in done.trace.claims)
    assert any("not certified" in warning for warning in done.trace.warnings)
    small = await trace_run(answer.run_id, given, TraceOptions(max_equivalents=0.5))
    assert small.trace.search.equivalents <= 0.5


async def test_without_a_model_the_wording_of_the_sentences_is_compared_not_that_of_scores(book: Path, tmp_path: Path):
    plain = Settings(run_dir=tmp_path / "runs", model="offline", window=2048, topology="chain")
    answer = await asked(book, plain)
    done = await trace_run(answer.run_id, plain)
    assert done.trace.kind == "support" and done.trace.search.calls == 0
    assert len(done.trace.claims) > 1
    for claim in done.trace.claims:
        first = done.trace.segments[claim.found.causes[0].segment]
        assert " ".join(first.text.split()) in " ".join(answer.text.split())
        assert " ".join(done.trace.answer[claim.start : claim.end].split()).startswith(" ".join(first.text.split()))
        assert not claim.found.certified and not claim.hops


@pytest.mark.slow
async def test_a_run_that_is_not_whole_or_not_the_same_is_refused(book: Path, given: Settings, server):
    with pytest.raises(RunNotFound):
        await trace_run("nothing", given)
    answer = await asked(book, given)
    traced = await trace_run(answer.run_id, given)
    with pytest.raises(UsageError, match="cannot be traced"):
        await trace_run(traced.trace.run_id, given)
    (given.run_dir / answer.run_id / "journal.db").unlink()
    with pytest.raises(UsageError, match="does not hold the whole run"):
        await trace_run(answer.run_id, given)
    direct = await trace_run(answer.run_id, given, direct=True)
    assert direct.trace.claims[0].hops == ()


async def test_documents_that_have_changed_are_refused(book: Path, given: Settings, server, tmp_path: Path):
    answer = await asked(book, given)
    _overwrite(book)
    with pytest.raises(InputChanged):
        await trace_run(answer.run_id, given)


def _overwrite(path: Path) -> None:
    path.write_text("Something else entirely.", "utf-8")


def test_notes_are_cut_between_sentences_and_never_inside_a_quote():
    text = "He left [[at dawn. He rowed]]. She stayed. [zzz1] Nobody asked [zzz2]."
    assert [text[a:b] for a, b in note_spans(text, "zzz")] == [
        "He left [[at dawn. He rowed]].",
        "She stayed. [zzz1]",
        "Nobody asked [zzz2].",
    ]
    assert expanded("He left [zzz1].", {"zzz1": "At dawn."}, "zzz") == "he left at dawn"
    assert expanded("He left [[At dawn]].", {}, "zzz") == "he left at dawn"


def test_the_prompt_with_all_pieces_is_the_prompt():
    from coa.serving.base import Message

    sent = (Message(role="system", content="s"), Message(role="user", content="abcdef"))
    prompting = SentPrompting(sent=sent, ranges=[((0, 2), (4, 5)), ((2, 3),)])
    assert Scored(prompting=prompting, answer="x", claims=()).prompting.messages(frozenset({0, 1})) == sent
    assert prompting.messages(frozenset({1}))[-1].content == "cdf"
    assert prompting.messages(frozenset())[-1].content == "df"


@pytest.mark.slow
def test_the_command_goes_through_the_chain(book: Path, given: Settings, server):
    runner = CliRunner()
    common = ["--model", "vllm:tiny", "--base-url", server.url, "--run-dir", str(given.run_dir), "--window", "2048"]
    asked = runner.invoke(app, ["ask", str(book), QUESTION, *common, "--topology", "chain", "--json"])
    done = runner.invoke(app, ["trace", json.loads(asked.stdout)["run_id"], "--run-dir", str(given.run_dir), "--json"])
    assert done.exit_code == 0, done.output
    assert [hop["agent"] for hop in json.loads(done.stdout)["claims"][0]["hops"]][:2] == ["manager", "worker"]
    assert "full-context prompts" in done.stderr


@pytest.mark.parametrize("command", [["ask"], pytest.param(["summarize"], marks=pytest.mark.slow)])
def test_ask_and_summarize_trace_at_once(command: list[str], book: Path, given: Settings, server, tmp_path: Path):
    runner, page = CliRunner(), tmp_path / "page.html"
    common = ["--model", "vllm:tiny", "--base-url", server.url, "--run-dir", str(given.run_dir), "--window", "2048"]
    words = [QUESTION] if command == ["ask"] else ["--focus", QUESTION]
    call = [*command, str(book), *words, *common, "--topology", "chain"]
    done = runner.invoke(app, [*call, "--html", str(page), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["citations"] is not None and result["trace"]["claims"][0]["hops"]
    assert result["trace"]["claims"][0]["text"] in page.read_text("utf-8")
    plain = runner.invoke(app, [*call, "--trace"])
    assert "the way through the agents" in plain.stdout and plain.stdout.startswith(result["text"])
    refused = runner.invoke(app, [*call, "--trace", "--no-journal"])
    assert isinstance(refused.exception, UsageError)
