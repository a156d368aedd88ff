"""Workers are told which document and whose turn they read; citations name the document."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.documents import load
from coa.serving.base import Request
from coa.testing import ScriptedModel

ANN, BO = "The tide was high on Friday.", "The tide was low on Friday."


@pytest.fixture
def both(tmp_path: Path) -> list[Path]:
    for name, text in (("ann.txt", ANN), ("bo.txt", BO)):
        (tmp_path / name).write_text(text)
    return [tmp_path / "ann.txt", tmp_path / "bo.txt"]


@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
async def test_which_document_a_fact_is_from(topology: str, both: list[Path]):
    def reply(request: Request) -> str:
        if request.role == "worker":
            passage = request.inputs["passage"]
            return f"{request.inputs['notes'].text} {passage.document}: [[{passage.text}]]"
        return request.inputs["notes"].text

    model = ScriptedModel(reply)
    answer = await coa.aio.ask(both, "How was the tide?", model=model, topology=topology, journal=False)
    assert [(c.span.doc, c.quote) for c in answer.citations] == [("ann.txt", ANN), ("bo.txt", BO)]
    workers = [r.messages[-1].content for r in model.requests if r.role == "worker"]
    assert "from the document ann.txt" in workers[0] and "from the document bo.txt" in workers[1]
    assert f"] (bo.txt) {BO}" in model.requests[-1].messages[-1].content


async def test_documents_given_under_one_name_do_not_hide_each_other():
    given = [load(text.encode(), path=f"{folder}/note.txt") for folder, text in (("ann", ANN), ("bo", BO))]
    model = ScriptedModel(lambda _: "So.")
    answer = await coa.aio.ask(given, "How was the tide?", model=model, journal=False)
    assert [source.id for source in answer.documents] == ["note.txt", "note.txt-2"]
    assert [r.inputs["passage"].text for r in model.requests if r.role == "worker"] == [ANN, BO]


async def test_one_document_is_not_named(both: list[Path]):
    model = ScriptedModel(lambda request: f"It was high [[{ANN}]].")
    await coa.aio.ask(both[0], "How was the tide?", model=model, journal=False)
    assert all("ann.txt" not in message.content for r in model.requests for message in r.messages)


async def test_long_names_and_speakers_stay_inside_the_window(tmp_path: Path):
    paths = [tmp_path / f"{'n' * 200}{i}.txt" for i in range(2)]
    speakers = ["Secretary of the Northern Harbour Board", "Keeper"]
    for path in paths:
        path.write_text(
            "".join(
                f"{speakers[i % 2]}: {'and the rain went on and on ' * (400 if i == 4 else 9)}\n" for i in range(40)
            )
        )
    model = ScriptedModel(lambda request: "Notes.", window=2048)
    answer = await coa.aio.ask(paths, "What went on?", model=model, journal=False)
    assert answer.coverage.complete
    for request in model.requests:
        assert sum(model.counter.count(m.content) for m in request.messages) + request.max_tokens <= 2048
    shown = [r.messages[-1].content for r in model.requests]
    assert any(f"in the middle of what {speakers[0]} says" in text for text in shown)


async def test_turns_stay_whole_in_a_run(tmp_path: Path):
    path = tmp_path / "talk.txt"
    path.write_text("".join(f"{'AB'[i % 2]}nn: sentence {i} of a long talk about the tide.\n" for i in range(900)))
    model = ScriptedModel(lambda request: "Notes.", window=2048)
    await coa.aio.summarize(path, model=model, journal=False)
    passages = [r.inputs["passage"] for r in model.requests if r.role == "worker"]
    assert len(passages) > 3
    assert all(p.text.startswith(("Ann: ", "Bnn: ")) and p.text.endswith("\n") and not p.speaker for p in passages)
