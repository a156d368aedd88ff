"""LanceDB: the suite of stores, whole documents after a kill, refusals, values that are not to be trusted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import coa
from coa.documents import Document
from coa.errors import StorageFailed, UnusableIndex, UsageError
from coa.retrieval.entries import record
from coa.retrieval.filters import condition
from coa.retrieval.index import Index
from coa.retrieval.lance.store import LanceStore
from coa.retrieval.terms import terms
from coa.testing import check_store
from coa.testing.stores import EMBEDDING, vector
from tests.retrieval.writer import writer

pytestmark = pytest.mark.slow
pytest.importorskip("lancedb")

LOG = Path(__file__).parents[2] / "examples" / "documents" / "lighthouse_log.txt"
QUERY = "Who keeps the light on Gull Stack?"


@pytest.mark.parametrize("ann_from", [100_000, 2])
def test_lance_conforms(tmp_path: Path, ann_from: int) -> None:
    check_store(lambda: LanceStore(f"lancedb://{tmp_path / 'lib'}", create=True, ann_from=ann_from))


def test_an_index_moves_to_lance_in_one_line(tmp_path: Path) -> None:
    address = f"lancedb://{tmp_path / 'lib'}"
    index, here = coa.index(LOG, address), coa.index(LOG, tmp_path / "here")
    assert index.find(QUERY, 3)[0].span == here.find(QUERY, 3)[0].span
    text = coa.load(LOG).text
    hits = index.find(QUERY, 10)
    assert all(text[hit.span.start : hit.span.end] == hit.text for hit in hits)
    assert index.context(hits, 500).passages
    index.close()
    again = coa.index(LOG, address)
    assert again.add([coa.load(LOG)]) == 0
    again.close()
    found = subprocess.run([sys.executable, "-m", "coa", "search", address, QUERY, "--json"], capture_output=True)
    assert found.returncode == 0, found.stderr
    assert all(text[hit["start"] : hit["end"]] == hit["quote"] for hit in json.loads(found.stdout)["hits"])


def test_a_killed_writer_leaves_whole_documents(tmp_path: Path) -> None:
    address = f"lancedb://{tmp_path / 'lib'}"
    process = subprocess.Popen([sys.executable, "-c", writer(LanceStore), address], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(5)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = LanceStore(address, create=True)
    assert set(said) <= {source.id for source in store.sources()}
    units = store.units(store.find(condition({}), 10_000))
    assert {unit.span.doc for unit in units} == {source.id for source in store.sources()}
    assert all(store.text(unit.span.doc, unit.span.start, unit.span.end) == unit.text for unit in units)
    assert set(store.search_lexical(terms("weather"), 10_000)) == {unit.id for unit in units}
    vectors = store.vectors([unit.id for unit in units])
    assert len(vectors) >= 2 * len(said)
    assert all(np.allclose(found, vector("Entry tells of the weather"), atol=0.2) for found in vectors.values())
    store.close()


def test_filtered_and_unfiltered_scores_agree_before_anything_is_indexed(tmp_path: Path) -> None:
    store = LanceStore(f"lancedb://{tmp_path / 'lib'}", create=True)
    store.put([record(Document(id=n, path=n, text=f"The {n} storm.", sha256=n), {"name": n}) for n in ("one", "two")])
    everything = store.search_lexical(terms("one storm"), 10)
    one = store.search_lexical(terms("one storm"), 10, where=condition({"name": "one"}))
    assert one == pytest.approx({unit: everything[unit] for unit in one})
    store.close()


@pytest.mark.parametrize("value", ["Ann' or true --", 'a"b', "back\\slash", "%", "nul\x00", "\ud83d", "`x`"])
def test_values_are_data(tmp_path: Path, value: str) -> None:
    store = LanceStore(f"lancedb://{tmp_path / 'lib'}", create=True)
    documents = [Document(id=n, path=f"{n}{value}", text="# H\n\nA storm.", sha256=n) for n in ("one", "two")]
    store.put([record(documents[0], {"speaker": value, "Year": 3}), record(documents[1], {"speaker": "Bob"})])
    for where in ({"speaker": value}, {"path": f"one{value}"}, {"Year": {"gte": 3}}, {"speaker": {"in": [value]}}):
        found = store.units(store.find(condition(where), 10))
        assert {unit.span.doc for unit in found} == {"one"}, where
        assert all(unit.fields == {"speaker": value, "Year": 3} for unit in found)
    assert store.remove(f"one{value}")
    store.close()


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableIndex):
        Index.open(f"lancedb://{tmp_path}")
    with pytest.raises(UsageError):
        Index.open("lancedb://")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed):
        Index.create(f"lancedb://{tmp_path / 'file'}")
    lib = tmp_path / "lib"
    coa.index(LOG, f"lancedb://{lib}").close()
    for file in (lib / "coa.lance" / "_versions").iterdir():
        file.write_bytes(b"no version")
    with pytest.raises(UnusableIndex) as caught:
        Index.open(f"lancedb://{lib}")
    assert caught.value.hint


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = LanceStore(f"lancedb://{tmp_path / 'lib'}", create=True)
    store._say(version=99)
    store.close()
    with pytest.raises(UnusableIndex) as caught:
        Index.open(f"lancedb://{tmp_path / 'lib'}")
    assert "99" in caught.value.message


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses the write in the same way."""
    address = f"lancedb://{tmp_path / 'lib'}"
    index = Index.create(address)
    index.add([Document(id="a", path="a", text="The first weather report.", sha256="1")])
    index.close()
    program = (
        "import resource, signal, sys\n"
        "from coa.documents import Document\nfrom coa.errors import StorageFailed\n"
        "from coa.retrieval.index import Index\n"
        "index = Index.create(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "text = ' '.join(f'word{n} stands here.' for n in range(60_000))\n"
        "try:\n    index.add([Document(id='b', path='b', text=text, sha256='2')])\n"
        "except StorageFailed as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, address], capture_output=True, text=True)
    assert "Free some space" in done.stdout, done.stdout + done.stderr
    again = Index.open(address)
    assert [hit.span.doc for hit in again.find("weather report", 5)] == ["a"]
    assert [source.id for source in again.sources] == ["a"]
    again.close()


def test_other_vectors_are_refused(tmp_path: Path) -> None:
    store = LanceStore(f"lancedb://{tmp_path / 'lib'}", create=True)
    with pytest.raises(UsageError):
        store.set_vectors([1], np.zeros((1, 26), dtype=np.float32))
    store.claim(EMBEDDING)
    with pytest.raises(UsageError):
        store.set_vectors([1], np.zeros((1, 3), dtype=np.float32))
    store.close()
