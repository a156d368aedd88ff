"""Models that misbehave, sources that are broken, budgets that end: typed, resumable, nothing written twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.config import Settings
from coa.errors import BudgetExceeded, CoaError, DeadlineExceeded, MalformedReply, UsageError
from coa.retrieval.base import Hit
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel
from coa.testing.writers import biased_writer, said
from coa.writing.check import check
from coa.writing.plan import Outline
from coa.writing.residue import without_residue
from coa.writing.run import WriteOptions, write

BRIEF = "A guide to the sound, the ferries that cross it and the lights that are kept there."
LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"
GERMAN = (
    "Die Fähre fährt um sechs und nicht um sieben, und der Wärter ist mit den Lampen auf dem Felsen. Es wird auch "
    "in diesem Jahr eine Reise von der Stadt zu den Inseln sein, die für die Leute nicht zu weit ist. "
)


def settings(tmp_path: Path, **more) -> Settings:
    return Settings(run_dir=tmp_path / "runs", **more)


def outline(**more: dict) -> Outline:
    sections = [{"id": str(i), "title": f"The part {i} of it", "words": 300} | more.get(f"s{i}", {}) for i in (1, 2, 3)]
    goals = {"goal": "what it is that the ferries and the lights have to do with this and with that"}
    data = {"title": "The sound", "brief": BRIEF, "words": 900, "sections": [goals | each for each in sections]}
    return Outline.model_validate(data)


def speaking(bad: Callable[[Request], str | Reply]) -> ScriptedModel:
    """A model that writes well, but for the second section."""
    inner = biased_writer(1.0, 0.0)

    async def reply(request: Request) -> str | Reply:
        second = request.role == "writer" and 'Now the section "The part 2 of it"' in request.messages[-1].content
        return bad(request) if second else await inner.complete(request)

    return ScriptedModel(reply, window=100_000, name="scripted:writer")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "EmptyReply"),
        ("<think>What shall I say?</think>", "EmptyReply"),
        ("I'm sorry, but I can't help with that.", "RefusedReply"),
        ("Error: rate limit exceeded, please try again later.", "MalformedReply"),
        ("Internal Server Error", "MalformedReply"),
        (GERMAN * 8, "MalformedReply"),
    ],
)
async def test_what_is_no_text_is_asked_for_again_and_then_left_out(said: str, code: str, tmp_path: Path):
    model = speaking(lambda _: said)
    options = WriteOptions(words=900, outline=outline().model_copy(update={"language": "English"}), edits=False)
    answer = await write(BRIEF, settings(tmp_path), options, model=model)
    assert answer.status == "partial" and answer.coverage.read == 2 and len(answer.coverage.failed) == 1
    assert code in answer.coverage.failed[0].reason and "## The part 2 of it" not in answer.text
    assert not said or said[:40] not in answer.text
    asked = [each for each in model.requests if 'section "The part 2 of it"' in each.messages[-1].content]
    assert len(asked) == 2, "one more try, and no third"
    again = await write(BRIEF, settings(tmp_path), options, model=model)
    assert again.text == answer.text and again.usage.calls == 0


async def test_a_loop_is_cut_and_said(tmp_path: Path):
    model = speaking(lambda _: "The lamp was lit and the oil was very low again. " * 60)
    options = WriteOptions(words=900, outline=outline(), edits=False)
    answer = await write(BRIEF, settings(tmp_path), options, model=model)
    assert answer.text.count("The lamp was lit") <= 2 and any("repeats itself" in each for each in answer.warnings)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |", "| 1 | 2 3 |"),
        ("| a | b |\n| 1 | 2 |", "| --- | --- |"),
        ("```python\nprint(1)", "print(1)\n```"),
        ("One is **bold and not closed.", "One is bold and not closed."),
        ("**Ferries**", None),
        ("Word count: 300", None),
        ("### A heading of its own", None),
        ("The end.<|endoftext|>user: more", "The end."),
    ],
)
async def test_faults_of_form_are_mended_and_none_is_left(fault: str, found: str | None, tmp_path: Path):
    def bad(request: Request) -> str:
        text = said(request.messages[-1].content, spread=0.0)
        return f"{text}\n\n{fault}"

    options = WriteOptions(words=900, outline=outline(), edits=False)
    answer = await write(BRIEF, settings(tmp_path), options, model=speaking(bad))
    failing = [each for each in check(answer.text).findings if each.fails]
    assert failing == [] and answer.status == "complete"
    assert (found or fault) in answer.text if found else fault not in answer.text


def test_residue_is_taken_out_and_nothing_else():
    text = "One **bold** word.\n\n**Note:** this stays, since more follows.\n\nWord counts: they differ."
    assert without_residue(text) == text


async def test_a_model_that_writes_nothing_at_all_is_an_error(tmp_path: Path):
    inner = biased_writer()

    async def reply(request: Request):
        return "" if request.role == "writer" else await inner.complete(request)

    with pytest.raises(MalformedReply, match="no section could be written"):
        await write(BRIEF, settings(tmp_path), WriteOptions(words=900), model=ScriptedModel(reply, window=100_000))


@pytest.mark.parametrize("limit", [{"max_calls": 3}, {"max_tokens": 5_000}, {"deadline": 0.2}])
async def test_a_limit_that_ends_midway_is_typed_and_what_was_paid_is_kept(limit: dict, tmp_path: Path):
    import asyncio

    slow = "deadline" in limit
    inner = biased_writer()

    async def reply(request: Request):
        await asyncio.sleep(0.05 if slow else 0)
        return await inner.complete(request)

    model = ScriptedModel(reply, window=100_000, name="scripted:writer")
    kind = DeadlineExceeded if slow else BudgetExceeded
    options = WriteOptions(words=6_000, parallel=1)
    with pytest.raises(kind) as caught:
        await write(BRIEF, settings(tmp_path, **limit), options, model=model)
    assert caught.value.exit_code == 6
    paid = len(model.requests)
    answer = await write(BRIEF, settings(tmp_path), options, model=inner)
    whole = await write(BRIEF, settings(tmp_path / "whole"), options, model=biased_writer())
    assert answer.text == whole.text and answer.usage.calls_from_journal >= paid - 1
    assert answer.usage.calls + answer.usage.calls_from_journal == whole.usage.calls


async def test_sources_that_cannot_be_read_make_the_text_partial(tmp_path: Path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "log.txt").write_text(LOG.read_text("utf-8"), "utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 no archive")
    answer = await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=600), [folder])
    assert answer.status == "partial" and answer.coverage.read == answer.coverage.chunks and len(answer.documents) == 1
    assert sorted(Path(each.span.doc).name for each in answer.coverage.failed) == ["broken.docx", "broken.pdf"]
    for path in folder.glob("log.txt"):
        path.unlink()
    with pytest.raises(CoaError) as caught:
        await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=600), [folder])
    assert caught.value.exit_code == 5


async def test_a_section_is_written_from_its_own_sources_alone(tmp_path: Path):
    for name, keeper in (("north.txt", "Orla Finn"), ("south.txt", "Bram Kettle")):
        (tmp_path / name).write_text(f"The keeper of the light is {keeper}. The light burns oil.\n" * 3, "utf-8")
    seen: dict[str, set[str]] = {}

    def reply(request: Request) -> str:
        evidence = request.inputs.get("evidence", ())
        seen[request.inputs["section"].title] = {item.span.doc for item in evidence}
        return said(request.messages[-1].content, furnished=True)

    plan = outline(s1={"sources": ["north.txt"]}, s2={"sources": [str(tmp_path / "south.txt")]})
    goals = [each.model_copy(update={"goal": "the keeper of the light"}) for each in plan.sections]
    options = WriteOptions(words=900, outline=plan.model_copy(update={"sections": goals}), edits=False)
    sources = [tmp_path / "north.txt", tmp_path / "south.txt"]
    answer = await write(BRIEF, settings(tmp_path), options, sources, model=ScriptedModel(reply, window=100_000))
    ids = {Path(source.path).name: source.id for source in answer.documents}
    assert seen["The part 1 of it"] == {ids["north.txt"]} and seen["The part 2 of it"] == {ids["south.txt"]}
    assert seen["The part 3 of it"] == set(ids.values())

    class Both:
        async def search(self, query: str, k: int) -> list[Hit]:
            import coa

            return [Hit(span=coa.load(path).span(0, 20), score=1.0) for path in sources]

    seen.clear()
    given = settings(tmp_path / "other")
    await write(BRIEF, given, options, sources, found=Both(), model=ScriptedModel(reply, window=100_000))
    assert seen["The part 1 of it"] == {ids["north.txt"]}


async def test_a_plan_that_names_an_unknown_source_is_refused_before_anything_is_sent(tmp_path: Path):
    model = biased_writer()
    options = WriteOptions(words=900, outline=outline(s2={"sources": ["letters.txt"]}))
    for sources in ([LOG], []):
        with pytest.raises(UsageError, match=r"'letters\.txt', which is no source"):
            await write(BRIEF, settings(tmp_path), options, sources, model=model)
    with pytest.raises(UsageError, match="10 to 1,200"):
        plan = Outline.model_validate(
            {"title": "T", "brief": "B", "words": 5000, "sections": [{"id": "1", "title": "A", "words": 5000}]}
        )
        await write(BRIEF, settings(tmp_path), WriteOptions(words=5000, outline=plan), model=model)
    assert model.requests == []


def test_exit_codes_on_the_command_line(tmp_path: Path):
    where = ["--run-dir", str(tmp_path / "runs"), "-q", "--window", "30000"]
    text = ["write", BRIEF, "--words", "1500", "--model", "openai:test", *where]

    def run(*more: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*text, *more])
        found = getattr(done.exception, "exit_code", None)
        return (found if found is not None else done.exit_code), done.output

    with FaultServer(said) as server:
        assert run("--base-url", server.base_url, "--max-calls", "2")[0] == 6
        sent = server.hits
        assert run("--base-url", server.base_url)[0] == 0 and server.hits > sent
        before = server.hits
        run("--base-url", server.base_url)
        assert server.hits == before, "nothing is paid twice"
    with FaultServer(lambda prompt: said(prompt) if "lines" in prompt else "") as server:
        assert run("--base-url", server.base_url, "--run-dir", str(tmp_path / "empty"))[0] == 4
