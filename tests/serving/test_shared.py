"""One model object, several runs at once: none of them takes the connection from under another."""

import asyncio
from pathlib import Path

import coa
from coa.serving.openai import OpenAIModel
from coa.testing import FaultServer
from coa.testing.conformance import sample_request


async def test_a_run_that_ends_leaves_the_calls_of_the_others_alone(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The lamp is lit every night by the keeper. " * 400)
    async with FaultServer("The keeper lights it.", latency=0.1) as server:
        model = OpenAIModel("any", base_url=server.base_url)
        given = {"model": model, "retries": 0, "run_dir": tmp_path / "runs"}
        asked = [coa.aio.ask(book, f"Who, {window}?", window=window, **given) for window in (2048, 3072, 16_384)]
        answers = await asyncio.gather(*asked)
        assert [answer.status for answer in answers] == ["complete"] * 3
        assert server.hits == sum(answer.usage.calls for answer in answers)
        assert server.statuses == {200: server.hits}


async def test_a_closed_model_ends_its_calls_first_and_opens_anew() -> None:
    async with FaultServer("All is well.", latency=0.2) as server:
        model = OpenAIModel("any", base_url=server.base_url)
        call = asyncio.create_task(model.complete(sample_request()))
        while not server.in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await model.close()
        assert (await call).text == "All is well."
        assert (await model.complete(sample_request())).text == "All is well."
        await model.close()
        assert server.connections == 2
