"""Edits: only small ones whose words stand there once; contradictions are found by code and judged by the model."""

import json
from pathlib import Path

import pytest

from coa.config import Settings
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.writing.author import Written
from coa.writing.editing import Edit, applied, edits_in
from coa.writing.ledger import conflicts_in, facts_in
from coa.writing.plan import Outline, Section
from coa.writing.run import WriteOptions, write

TEXT = "The ferry left at six. The ferry carried nails. Nobody spoke of it [abc1]."


def leaf(text: str = TEXT, name: str = "1") -> Written:
    return Written(section=Section(id=name, title=name, words=100), text=text)


@pytest.mark.parametrize(
    ("find", "put", "made"),
    [
        ("The ferry left at six.", "The ferry left at seven.", True),
        ("Nobody spoke of it [abc1].", "Few spoke of it [abc1].", True),
        ("The ferry", "A ferry", False),
        ("The boat left at six.", "It left.", False),
        ("ferry", "boat", False),
        ("The ferry left at six.", "## Ferries\n\nIt left.", False),
        ("The ferry left at six.", "It left at six [abc1].", False),
        ("Nobody spoke of it [abc1].", "Nobody did.", False),
        ("The ferry left at six.", "A long tale. " * 60, False),
        ("The ferry left at six.", "The ferry left at six.", False),
        (TEXT, "", False),
    ],
)
def test_only_small_edits_whose_words_stand_there_once_are_made(find: str, put: str, made: bool):
    edited = applied([leaf()], [Edit(section="1", find=find, replace=put)], "abc")
    assert len(edited.made) == made and edited.refused == (not made)
    assert edited.written[0].text == (TEXT.replace(find, put) if made else TEXT)


def test_an_edit_of_another_section_is_refused():
    edited = applied([leaf()], [Edit(section="2", find="The ferry left at six.", replace="It left.")], "abc")
    assert edited.refused == 1 and edited.written[0].text == TEXT


def test_edits_are_read_out_of_whatever_the_model_says():
    good = {"section": "1", "find": "abc", "replace": "d", "reason": "r"}
    assert edits_in(f"Here you are:\n```json\n{json.dumps([good, 3, {'section': 1}])}\n```") == [Edit(**good)]
    for bad in ("[]", "no", "[{", "{}", "[[]]", "[" * 50_000 + "]"):
        assert edits_in(bad) == []


def test_the_ledger_finds_figures_that_differ():
    texts = [
        ("1", "The Halcyon carried 40 passengers that year. Gull Stack was finished in 1887."),
        ("2", "Everybody knew that the Halcyon carried 60 passengers. The Halcyon had 2 masts."),
        ("3", "Gull Stack was finished in 1891, people say."),
    ]
    found = {(conflict.entity, tuple(fact.value for fact in conflict.facts)) for conflict in conflicts_in(texts)}
    assert found == {("Halcyon", ("40", "60")), ("Gull Stack", ("1887", "1891"))}
    assert conflicts_in(texts[:1]) == [] and facts_in("1", "There were 40 of them.") == []


def outline() -> Outline:
    chapters = [
        {
            "id": str(c),
            "title": f"Chapter {c}",
            "words": 1000,
            "children": [{"id": f"{c}.{i}", "title": f"Part {c}.{i}", "words": 500} for i in (1, 2)],
        }
        for c in (1, 2)
    ]
    return Outline.model_validate({"title": "T", "brief": "B", "words": 2000, "sections": chapters})


async def test_seams_and_contradictions_are_mended_and_nothing_else(tmp_path: Path):
    inner = biased_writer()
    asked: list[str] = []

    async def reply(request: Request):
        prompt = request.messages[-1].content
        if request.role != "editor":
            said = (await inner.complete(request)).text
            ships = {"1.2": "The Halcyon carried 40 passengers. ", "2.1": "The Halcyon carried 60 passengers. "}
            return next((f"{ships[name]}{said}" for name in ships if f'section "Part {name}"' in prompt), said)
        asked.append(prompt)
        if "may contradict" in prompt:
            find, put = "The Halcyon carried 60 passengers.", "The Halcyon carried 40 passengers."
        else:
            find, put = "The Halcyon carried 60", "That summer the Halcyon carried 60"
        return json.dumps([{"section": "2.1", "find": find, "replace": put, "reason": "test"}])

    model = ScriptedModel(reply, window=100_000)
    options = WriteOptions(words=2000, outline=outline(), memory="rolling")
    plain = await write("B", Settings(journal=False), WriteOptions(**{**_fields(options), "edits": False}), model=model)
    assert asked == []
    answer = await write("B", Settings(run_dir=tmp_path), options, model=model)
    assert len(asked) == 2 and "Section 1.2" in asked[0] and "Section 2.1" in asked[0]
    assert "That summer the Halcyon carried 60 passengers." in answer.text  # the seam came first
    assert answer.text == plain.text.replace("The Halcyon carried 60", "That summer the Halcyon carried 60")
    assert any("1 small edits" in warning for warning in answer.warnings)
    kept = json.loads((tmp_path / answer.run_id / "edits.json").read_text("utf-8"))
    assert [edit["section"] for edit in kept] == ["2.1"]


def _fields(options: WriteOptions) -> dict:
    return {name: getattr(options, name) for name in WriteOptions.__slots__}
