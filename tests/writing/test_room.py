"""No prompt is larger than the window, whatever a text says in a word; what was said before gives way first."""

from pathlib import Path

import pytest

from coa.config import Settings
from coa.errors import WindowTooSmall
from coa.events import Warned
from coa.prompts import Prompts
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer, said
from coa.writing.author import Written
from coa.writing.editing import Editor
from coa.writing.job import FREE
from coa.writing.memory import brief_for_sections, first_words, last_words
from coa.writing.plan import Outline
from coa.writing.room import MOST_TOKENS, Room
from coa.writing.run import WriteOptions, outline_of, write

PIECES = {name: "word " * 2000 for name in ("memory", "written", "tail", "evidence", "outline")}


def counter():
    return ScriptedModel("x").counter


def shown(inputs) -> str:
    return "Write. " + " / ".join(str(value) for value in inputs.values())


def test_what_was_said_before_gives_way_first_and_the_rest_stays():
    room = Room(counter=counter(), window=60_000)
    inputs = {"memory": "m\n" * 4000, "tail": "the tail stays", "goal": "the goal stays"}
    prompt = room.fitted(shown, inputs, 500)
    assert counter().count(prompt) <= MOST_TOKENS and prompt.endswith("the tail stays / the goal stays")
    assert prompt.count("m") > 1500, "no more than needed"
    small = {"memory": "all of it", "goal": "g"}
    assert room.fitted(shown, small, 500) == shown(small)


@pytest.mark.parametrize("window", [1_500, 3_000, 8_192])
def test_a_prompt_and_its_reply_fit_into_the_window(window: int):
    room = Room(counter=counter(), window=window)
    prompt = room.fitted(shown, {**PIECES, "goal": "the goal"}, 600)
    assert counter().count(prompt) * (1 + counter().margin) + 600 <= window and "the goal" in prompt


def test_whole_lines_of_evidence_stay():
    room = Room(counter=counter(), window=1_400)
    lines = [f"[abc{i}] " + "a passage of the source. " * 12 for i in range(1, 9)]
    prompt = room.fitted(shown, {"evidence": "\n".join(lines)}, 600)
    kept = prompt.removeprefix("Write. ").split("\n")
    assert 0 < len(kept) < 8 and kept == [line for line in lines[: len(kept)]]


def test_a_window_that_holds_nothing_is_an_error():
    with pytest.raises(WindowTooSmall, match="leaves no room"):
        Room(counter=counter(), window=700).fitted(shown, {"goal": "word " * 500}, 600)


def test_words_are_counted_in_scripts_without_blanks_and_in_noise():
    chinese = "灯塔在岛上。" * 200
    assert len(first_words(chinese, 120)) < 300 and len(last_words(chinese, 120)) < 300
    assert chinese.startswith(first_words(chinese, 120)) and chinese.endswith(last_words(chinese, 120))
    assert len(last_words("5" * 12_000, 100)) == 2_400
    assert last_words("one two three", 2) == "two three" and first_words("one two three", 2) == "one two"
    assert brief_for_sections(chinese).endswith(" ...") and brief_for_sections("A guide.") == "A guide."


async def test_a_model_of_endless_words_is_never_sent_more_than_its_window(tmp_path: Path):
    def reply(request: Request) -> str:
        prompt = request.messages[-1].content
        if request.role != "writer":
            return said(prompt)
        noise = said(prompt, spread=0.0)
        return noise.replace(" ", f" {'x' * 40}{len(prompt)}")

    model = ScriptedModel(reply, window=8_192)
    given = Settings(run_dir=tmp_path, window=8_192, prices=(0.0, 0.0))
    await write("A guide", given, WriteOptions(words=4_000, memory="full"), model=model)
    for request in model.requests:
        tokens = sum(model.counter.count(message.content) for message in request.messages)
        assert tokens <= MOST_TOKENS and tokens + request.max_tokens <= 8_192


async def test_a_long_brief_is_cut_for_the_planner_and_that_is_said(tmp_path: Path):
    model = biased_writer(window=8_192)
    brief = "A guide to the sound. " + "Say much of the tides and of the ferry. " * 2_000
    given = Settings(run_dir=tmp_path, window=8_192, prices=(0.0, 0.0))
    answer = await write(brief, given, WriteOptions(words=6_000, edits=False), model=model)
    planned = [request for request in model.requests if request.role == "planner"]
    assert len(planned) > 1, "chapters, and the sections of each"
    for request in planned:
        prompt = request.messages[-1].content
        assert model.counter.count(prompt) <= MOST_TOKENS and "A guide to the sound. Say much" in prompt
        assert model.counter.count(prompt) > 4_000, "no more was cut than needed"
    said_of_it = [warning for warning in answer.warnings if "brief" in warning]
    assert len(said_of_it) == 2 and "of 18,005 words" in said_of_it[0] and "first 400 words" in said_of_it[1]
    heard: list[object] = []
    options = WriteOptions(words=6_000)
    await outline_of(brief, given, options, emit=heard.append, model=biased_writer(window=8_192))
    assert [each.message for each in heard if isinstance(each, Warned)] == said_of_it[:1]


async def test_a_brief_of_usual_length_is_told_whole_and_nothing_said(tmp_path: Path):
    model = biased_writer(window=8_192)
    given = Settings(run_dir=tmp_path, window=8_192, prices=(0.0, 0.0))
    answer = await write("A guide to the sound.", given, WriteOptions(words=2_000), model=model)
    assert not [warning for warning in answer.warnings if "brief" in warning or "cut" in warning]


async def test_a_window_that_holds_no_plan_is_an_error_with_a_hint(tmp_path: Path):
    given = Settings(run_dir=tmp_path, window=1_200, prices=(0.0, 0.0))
    with pytest.raises(WindowTooSmall, match="leaves no room") as caught:
        await write("A guide. " * 500, given, WriteOptions(words=6_000), model=biased_writer(window=1_200))
    assert "--window" in str(caught.value.hint)


def editor(window: int, asked: list[str]) -> Editor:
    async def call(request: Request) -> Reply:
        asked.append(request.messages[-1].content)
        return Reply(text="[]", model="x", finish="stop")

    return Editor(call=call, prompts=Prompts(), fence=FREE, room=Room(counter=counter(), window=window))


async def test_the_last_look_is_kept_to_the_window_too():
    title = "The sound " * 3_000
    sections = [{"id": str(i), "title": f"{i} {title}", "words": 500} for i in range(1, 17)]
    outline = Outline.model_validate({"title": "T", "brief": "B", "words": 8_000, "sections": sections})
    texts = {0: "The Halcyon carried 40 passengers. ", 15: "The Halcyon carried 60 passengers. "}
    written = [Written(section=leaf, text=texts.get(i, "") + "The tide rose. " * 80)
               for i, leaf in enumerate(outline.leaves())]  # fmt: skip
    asked: list[str] = []
    edited = await editor(8_192, asked).edit(outline, written)
    assert len(asked) == 1 and "may contradict" in asked[0]
    assert edited.warnings == ("1 seams or contradictions do not fit into the window: not looked at",)
    short = outline.model_copy(update={"sections": [s.model_copy(update={"title": "Ebb"}) for s in outline.sections[:8]]
                                       + outline.sections[8:]})  # fmt: skip
    named = [Written(section=leaf.section.model_copy(update={"title": "Ebb"}), text=leaf.text) for leaf in written]
    asked.clear()
    edited = await editor(8_192, asked).edit(short, named)
    assert len(asked) == 2 and edited.warnings == ("1 prompts of the last look were cut to fit into the window",)
    assert all(counter().count(prompt) <= MOST_TOKENS for prompt in asked)
    assert "Mend only" in asked[0] and "The tide rose." in asked[0]
