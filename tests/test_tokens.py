"""Token counts: exact where a vocabulary is at hand, otherwise an estimate that errs on the safe side by its margin."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from coa.tokens import EstimateCounter, counter_for
from coa.tokens.exact import TiktokenCounter
from coa.tokens.vocabulary import vocabulary_at_hand

LOG = Path(__file__).parents[1] / "examples" / "documents" / "lighthouse_log.txt"
SAMPLES = {
    "English": "The keeper wrote the hour, the wind and the height of the lamp oil into the log before she slept.\n",
    "code": "def f(xs: list[int]) -> dict[str, int]:\n    return {str(x): x ** 2 for x in xs if x % 2}\n",
    "German": "Die Wärterin schrieb Stunde, Wind und Ölstand ins Buch, bevor sie sich schlafen legte.\n",
    "Russian": "Смотрительница записала час, ветер и уровень масла в журнал.\n",
    "Chinese": "守塔人在睡觉之前把时间、风向和灯油的高度写进了日志。\n",
    "Thai": "ผู้ดูแลประภาคารจดเวลา ลม และระดับน้ำมันตะเกียงลงในสมุดบันทึกก่อนนอน\n",
    "Arabic": "كتبت الحارسة الساعة والريح ومستوى الزيت في السجل قبل أن تنام.\n",
    "emoji": "🌊🕯️👩‍🔧🇳🇴 ⛵️🐚\n",
    "digits": "1882-03-14 43 0.75 1,204,556 3.14159265358979\n",
    "blanks": "   \n\n\t\t  \n        x\n",
}


def random_text(seed: int, size: int) -> str:
    rng = random.Random(seed)
    ranges = [(0x20, 0x7E), (0xA1, 0x17F), (0x400, 0x4FF), (0x4E00, 0x5FFF), (0x1F300, 0x1F5FF), (0x9, 0xD)]
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(size))


@pytest.fixture(scope="module", params=["cl100k_base", "o200k_base"])
def exact(request: pytest.FixtureRequest) -> TiktokenCounter:
    if vocabulary_at_hand(request.param) is None:
        pytest.skip(f"the vocabulary {request.param} is not on this machine")
    return TiktokenCounter(request.param)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_estimate_is_never_below_the_truth_by_more_than_its_margin(name: str, exact: TiktokenCounter) -> None:
    estimate = EstimateCounter()
    text = SAMPLES[name] * 20
    assert estimate.count(text) * (1 + estimate.margin) >= exact.count(text)


def test_the_estimate_holds_for_random_characters(exact: TiktokenCounter) -> None:
    estimate = EstimateCounter()
    short = [text for seed in range(60) if (text := random_text(seed, 400)) and _short(estimate, exact, text)]
    assert not short


def test_the_estimate_of_english_prose_is_not_wasteful(exact: TiktokenCounter) -> None:
    text = LOG.read_text(encoding="utf-8")
    assert EstimateCounter().count(text) <= 1.25 * exact.count(text)


def test_a_special_token_in_a_document_is_text(exact: TiktokenCounter) -> None:
    assert exact.count("<|endoftext|>") > 1


def test_the_estimate_says_what_it_is() -> None:
    counter = EstimateCounter()
    assert "estimate" in counter.label
    assert counter.margin > 0


def test_an_unknown_model_gets_the_estimate() -> None:
    assert isinstance(counter_for("a-model-nobody-knows"), EstimateCounter)


def test_the_estimate_of_nothing_is_nothing_and_never_shrinks_with_more_text() -> None:
    counter = EstimateCounter()
    text = LOG.read_text(encoding="utf-8")[:2000]
    sizes = [counter.count(text[:end]) for end in range(0, len(text), 50)]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)


def _short(estimate: EstimateCounter, exact: TiktokenCounter, text: str) -> bool:
    return estimate.count(text) * (1 + estimate.margin) < exact.count(text)
