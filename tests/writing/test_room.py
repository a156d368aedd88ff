"""No prompt is larger than the window, whatever a text says in a word; what was said before gives way first."""

from pathlib import Path

import pytest

from coa.config import Settings
from coa.errors import WindowTooSmall
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.testing.writers import said
from coa.writing.memory import brief_for_sections, first_words, last_words
from coa.writing.room import MOST_TOKENS, Room
from coa.writing.run import WriteOptions, write

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
