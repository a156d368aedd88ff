"""The shipped reader in a real vLLM: what it says there is what it says in transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: the full test run installs it")
pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")

from coa import aio
from coa.serving.vllm.launch import Running
from coa.testing.reader import load
from coa.testing.reader.documents import PLAIN
from coa.testing.reader.measures import questions
from coa.testing.reader.reading import Reading
from coa.testing.reader.served import same_text

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


def test_vllm_says_what_transformers_says(vllm_server: Running) -> None:
    same, asked = same_text(Reading(*load()), 40, base_url=f"{vllm_server.found.url}/v1")
    assert same >= 0.95 * asked


async def test_a_chain_over_the_served_reader_finds_facts(vllm_server: Running, tmp_path: Path) -> None:
    """Two chunks and more: the answer's sentence is in the text, and so is every quote."""
    right = 0
    for text, ask in list(questions(24, tokens=1500, facts=6, mix=PLAIN))[::4]:
        path = tmp_path / "text.txt"
        path.write_text(str(text), encoding="utf-8")
        answer = await aio.ask(
            path, ask.question, model="vllm:reader", base_url=f"{vllm_server.found.url}/v1", window=2048, journal=False
        )
        assert all(citation.quote in str(text) for citation in answer.citations)
        right += (ask.fact.value or "") in answer.text
    assert right >= 3
