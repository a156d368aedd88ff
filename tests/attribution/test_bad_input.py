"""What people really hand in: a result, or an error that says what to do."""

from pathlib import Path

import pytest

import coa
from coa.attribution.page import trace_to_html
from coa.attribution.terminal import trace_to_text
from coa.attribution.trace import TraceOptions, trace
from coa.config import Settings
from coa.errors import CoaError, UsageError, WindowTooSmall

FACT = "Odalys Brandt hid the ledger beneath the organ."
QUESTION = "Where is the ledger?"


def settings(tmp_path: Path, server, **more) -> Settings:
    return Settings(run_dir=tmp_path / "runs", model="vllm:tiny", base_url=server.url, **more)


async def traced(text: str, answer: str, tmp_path: Path, given: Settings, **options):
    path = tmp_path / "source.txt"
    path.write_text(text, "utf-8")
    document = coa.load(path)
    found = await trace(QUESTION, answer, [document], given, TraceOptions(**options))
    assert FACT in trace_to_html(found, [document]) and trace_to_text(found, [document])
    return found, [[found.segments[cause.segment] for cause in claim.found.causes] for claim in found.claims]


@pytest.mark.parametrize("method", ["auto", "tracllm", "contextcite"])
async def test_a_source_of_one_sentence(method: str, tmp_path: Path, server):
    found, causes = await traced(FACT, FACT, tmp_path, settings(tmp_path, server), method=method)
    assert [[each.text for each in one] for one in causes] == [[FACT]] and found.claims[0].found.certified


async def test_fewer_sentences_than_may_be_found(tmp_path: Path, server):
    _, causes = await traced(f"Nobody came. {FACT} It rained.", FACT, tmp_path, settings(tmp_path, server))
    assert [[each.text for each in one] for one in causes] == [[FACT]]


async def test_the_same_sentence_twice_is_two_places(tmp_path: Path, server):
    text = " ".join([FACT, *(f"On day {i} it rained upon the sea." for i in range(12)), FACT])
    found, (causes,) = await traced(text, FACT, tmp_path, settings(tmp_path, server))
    assert [each.text for each in causes] == [FACT, FACT] and len({each.span for each in causes}) == 2
    assert {cause.role for cause in found.claims[0].found.causes} == {"copy"}


async def test_an_answer_of_one_token(tmp_path: Path, server):
    text = " ".join([*(f"On day {i} it rained upon the sea." for i in range(12)), FACT])
    _, causes = await traced(text, "organ", tmp_path, settings(tmp_path, server))
    assert [[each.text for each in one] for one in causes] == [[FACT]]


async def test_an_answer_of_twenty_thousand_words_does_not_fit_and_says_so(tmp_path: Path, server):
    answer = "The ledger lies beneath the organ of the chapel by the sound. " * 1_700
    with pytest.raises(WindowTooSmall, match="beside the answer") as caught:
        await traced(FACT, answer, tmp_path, settings(tmp_path, server))
    assert caught.value.hint and not server.prompts
    found, causes = await traced(FACT, answer, tmp_path, Settings(run_dir=tmp_path / "runs", model="offline"))
    assert len(found.claims) == 1_700 and all(one[0].text == FACT for one in causes)


async def test_no_source_and_an_empty_one(tmp_path: Path, server):
    with pytest.raises(UsageError, match="no source"):
        await trace(QUESTION, FACT, [], settings(tmp_path, server))
    with pytest.raises(CoaError) as caught:
        await traced(" \n", FACT, tmp_path, settings(tmp_path, server))
    assert caught.value.hint
