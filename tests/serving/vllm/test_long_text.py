"""A text written by a real vLLM with a model that cannot write: its words are noise; plan and files are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from coa.config import Settings
from coa.serving.vllm.launch import Running
from coa.writing.check import check
from coa.writing.export import markdown_of
from coa.writing.folder import Folder
from coa.writing.markdown import headings
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, write

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900)]

LEAF, LEAVES = 400, 4


def plan_of(words: int) -> Outline:
    """Chapters of four sections; such a model could not plan them."""
    chapters = [
        {
            "id": str(c),
            "title": f"Harbour {c}",
            "words": LEAF * LEAVES,
            "children": [
                {"id": f"{c}.{i}", "title": f"Light {c}.{i}", "goal": f"lamp {i}", "words": LEAF}
                for i in range(1, LEAVES + 1)
            ],
        }
        for c in range(1, max(1, words // (LEAF * LEAVES)) + 1)
    ]
    total = LEAF * LEAVES * len(chapters)
    return Outline.model_validate({"title": "Noise", "brief": "Lamps", "words": total, "sections": chapters})


async def written(server: Running, folder: Path, words: int):
    """The text, and the same command once more."""
    outline = plan_of(words)
    settings = Settings(model="vllm:reader", base_url=f"{server.found.url}/v1", run_dir=folder, concurrency=16)
    options = WriteOptions(words=outline.words, outline=outline, parallel=8)
    first = await write(outline.brief, settings, options)
    return outline, first, await write(outline.brief, settings, options)


async def test_a_text_is_written_kept_and_taken_up_again(vllm_server: Running, tmp_path: Path):
    outline, first, again = await written(vllm_server, tmp_path, 2 * LEAF * LEAVES)
    leaves = outline.leaves()
    parts = Folder(tmp_path / first.run_id).parts()
    assert [part.id for part in parts] == [leaf.id for leaf in leaves]
    assert first.coverage.chunks == len(leaves) and first.coverage.read == sum(part.state == "done" for part in parts)
    assert first.coverage.read > 0 and first.usage.calls >= len(leaves)
    missing = {part.title for part in parts if part.state != "done"}
    there = [title for _, title in headings(first.text)]
    assert [leaf.title for leaf in leaves if leaf.title not in missing] == [t for t in there if t.startswith("Light")]
    assert first.usage.cached_tokens > 0, "the beginnings of the prompts are shared"
    assert again.text == first.text and again.usage.calls == 0
    assert not [each for each in check(markdown_of(first)).findings if each.check == "structure"]
