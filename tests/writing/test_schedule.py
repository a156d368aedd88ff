"""Places go to the most urgent chapter; a section waits for those that it builds on, and for nothing else."""

import asyncio
from pathlib import Path

import pytest

from coa.config import Settings
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.testing.writers import said
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, write
from coa.writing.schedule import Places, urgency


def test_a_chapter_that_others_wait_for_is_as_urgent_as_all_of_them():
    assert urgency([100, 300, 50], [set(), set(), {0}]) == [150, 300, 50]
    assert urgency([1, 1, 1, 1], [set(), {0}, {1}, {0}]) == [3, 2, 1, 1]


async def test_places_go_to_the_most_urgent_and_then_to_the_first_come():
    places, taken = Places(1), []

    async def work(name: str, urgent: int) -> None:
        await places.take(urgent)
        taken.append(name)
        await asyncio.sleep(0)
        places.give()

    await asyncio.gather(work("small", 1), work("large", 9), work("first", 5), work("second", 5))
    assert taken == ["large", "first", "second", "small"]


async def test_a_place_that_nobody_waits_for_any_more_goes_to_the_next():
    places = Places(1)
    await places.take(1)
    gone = asyncio.ensure_future(places.take(9))
    next_one = asyncio.ensure_future(places.take(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    places.give()
    await asyncio.wait_for(next_one, 1)
    handed = asyncio.ensure_future(places.take(1))
    await asyncio.sleep(0)
    places.give()
    handed.cancel()  # Cancelled after the place was handed to it, before it ran.
    with pytest.raises(asyncio.CancelledError):
        await handed
    await asyncio.wait_for(places.take(1), 1)


def plan(**depends: list[str]) -> Outline:
    chapters = [
        {
            "id": str(c),
            "title": f"Chapter {c}",
            "words": 1000,
            "children": [
                {"id": f"{c}.{i}", "title": f"Part {c}.{i}", "words": 500, "depends_on": depends.get(f"p{c}{i}", [])}
                for i in (1, 2)
            ],
        }
        for c in (1, 2)
    ]
    return Outline.model_validate({"title": "T", "brief": "B", "words": 2000, "sections": chapters})


async def order_of(outline: Outline, parallel: int, tmp_path: Path) -> tuple[list[str], dict[str, str], str]:
    began: list[str] = []
    prompts: dict[str, str] = {}

    async def reply(request: Request) -> str:
        prompt = request.messages[-1].content
        name = prompt.rsplit('Now the section "Part ', 1)[-1].split('"')[0]
        if request.role == "writer" and name not in prompts:
            began.append(name)
            prompts[name] = prompt
        await asyncio.sleep(0.002)
        return said(prompt, spread=0.0)

    given = Settings(run_dir=tmp_path / str(parallel), concurrency=16)
    options = WriteOptions(words=2000, outline=outline, parallel=parallel, memory="rolling")
    answer = await write("B", given, options, model=ScriptedModel(reply, window=100_000))
    return began, prompts, answer.text


async def test_a_section_alone_waits_for_what_it_builds_on(tmp_path: Path):
    outline = plan(p22=["1.2"])
    began, prompts, text = await order_of(outline, 2, tmp_path)
    assert set(began[:2]) == {"1.1", "2.1"} and began.index("2.2") > began.index("1.2")
    assert "What earlier chapters" in prompts["2.2"] and "What earlier chapters" not in prompts["2.1"]
    alone, same, again = await order_of(outline, 1, tmp_path)
    assert (same, again) == (prompts, text) and alone.index("1.2") < alone.index("2.2")


async def test_a_chapter_that_waits_gives_its_place_to_the_one_it_waits_for(tmp_path: Path):
    outline = plan(p12=["2.2"])
    began, _, _ = await asyncio.wait_for(order_of(outline, 1, tmp_path), 20)
    assert began == ["1.1", "2.1", "2.2", "1.2"]
