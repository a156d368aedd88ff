import pytest

from coa.agents.replies import nothing_new, usable
from coa.errors import EmptyReply, RefusedReply, TruncatedReply
from coa.serving.base import Reply


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text=text, finish=finish, model="m")  # type: ignore[arg-type]


def test_a_whole_reply_is_returned_without_its_reasoning():
    assert usable(reply("<think>hm, the key\n...</think>\n The key is brass. ")) == "The key is brass."


@pytest.mark.parametrize("finish", ["length", "unknown"])
def test_a_reply_that_did_not_end_is_truncated(finish: str):
    with pytest.raises(TruncatedReply):
        usable(reply("The key is", finish))


@pytest.mark.parametrize("text", ["", "  \n", "<think>only thoughts</think>", "<think>never ended"])
def test_nothing_is_empty(text: str):
    with pytest.raises(EmptyReply):
        usable(reply(text))


@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help with that.", "I cannot assist with this request.", "As an AI, I do not..."]
)
def test_refusals_are_recognised(text: str):
    with pytest.raises(RefusedReply):
        usable(reply(text))


@pytest.mark.parametrize("finish", ["filter", "refusal"])
def test_a_filtered_reply_is_a_refusal_whatever_it_says(finish: str):
    with pytest.raises(RefusedReply):
        usable(reply("Half a sentence", finish))


@pytest.mark.parametrize(
    "text",
    ["Sorry was the name of the dog. It followed the keeper.", "I cannot be found, wrote Ada, and I can help no one."],
)
def test_prose_that_begins_like_a_refusal_is_not_one(text: str):
    assert usable(reply(text)) == text


def test_nothing_new_is_recognised_and_prose_about_it_is_not():
    assert nothing_new("NO NEW INFORMATION.")
    assert nothing_new("**No new information**")
    assert not nothing_new("No new information reached the harbour. " + "The storm went on. " * 20)
    assert not nothing_new("The key is brass.")
