"""The shipped reader reads: thresholds well under what its model card says, over thirty cases and more each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: the full test run installs it")
pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")

from tokenizers.pre_tokenizers import Whitespace

from coa.errors import CorruptFile
from coa.testing import check_model
from coa.testing.reader import folder, load, tasks
from coa.testing.reader.documents import PLAIN
from coa.testing.reader.local import ReaderModel
from coa.testing.reader.measures import (
    HOPS,
    MISSING,
    UPDATED,
    Measure,
    chained,
    exact,
    left_out,
    product,
    streaming_only,
)
from coa.testing.reader.reading import Reading

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def reading() -> Reading:
    return Reading(*load())


@pytest.mark.parametrize(
    ("measure", "least"),
    [
        (exact(tokens=300, facts=6, mix=PLAIN), 0.95),
        (exact(tokens=1000, facts=41, mix=PLAIN), 0.7),
        (exact(tokens=512, facts=8, mix=UPDATED), 0.9),
        (exact(tokens=512, facts=8, mix=MISSING), 0.9),
        (exact(tokens=512, facts=8, mix=HOPS, kind="two hops"), 0.85),
        (left_out, 0.95),
        (chained(4), 0.9),
        (product(tasks.working, 1000), 0.9),
        (product(tasks.managing, 1000), 0.4),
        (product(tasks.tracing, 800), 0.85),
    ],
    ids=["facts", "dense facts", "updated", "absent", "two hops", "left out", "chain", "worker", "manager", "trace"],
)
def test_the_reader_reads(reading: Reading, measure: Measure, least: float) -> None:
    right, asked = measure(reading, 32)
    assert right >= least * asked


def test_it_reads_by_attention_to_far_tokens(reading: Reading) -> None:
    right, asked = streaming_only(reading, 32)
    assert right <= 0.4 * asked


def test_the_checkpoint_is_small_and_described() -> None:
    assert sum(path.stat().st_size for path in folder().iterdir()) <= 12 * 2**20
    card = (folder() / "README.md").read_text(encoding="utf-8")
    assert "| gate | goal | measured | met |" in card


async def test_it_is_a_model_of_this_project() -> None:
    await check_model(ReaderModel)


def test_a_file_that_was_replaced_is_named(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder(), tmp_path / "reader"))
    (copy / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CorruptFile, match=r"config\.json"):
        load(copy)


def test_a_tokenizer_that_mangles_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some versions of transformers do, which put a class of their own in the tokenizer's place."""
    import transformers

    real = transformers.AutoTokenizer.from_pretrained

    def mangled(where: Path) -> object:
        tokenizer = real(where)
        tokenizer.backend_tokenizer.pre_tokenizer = Whitespace()
        return tokenizer

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", mangled)
    with pytest.raises(CorruptFile, match="mangles"):
        load()


def test_without_torch_the_extra_is_named() -> None:
    """In an interpreter of its own, where torch cannot be imported."""
    code = """
import sys
sys.modules["torch"] = None
from coa.errors import MissingExtra
from coa.testing.reader import load
try:
    load()
except MissingExtra as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "[reader]" in done.stdout, done.stderr
