"""Writers that are killed, and readers that go on reading while others write."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from coa.documents import Document
from coa.errors import StorageFailed, UnusableIndex
from coa.retrieval.entries import record
from coa.retrieval.filters import condition
from coa.retrieval.index import Index
from coa.retrieval.sqlite.store import SQLiteStore
from coa.retrieval.terms import terms
from coa.testing.stores import EMBEDDING, vector
from tests.processes import Processes
from tests.retrieval.writer import writer


@pytest.mark.parametrize("lines", [1, 7, 19])
def test_a_killed_writer_loses_nothing_that_was_committed(processes: Processes, tmp_path: Path, lines: int) -> None:
    process = processes.start("-c", writer(SQLiteStore), tmp_path)
    said = [process.out.readline() for _ in range(lines)]
    time.sleep(0.003 * lines)
    process.signal(signal.SIGKILL)
    assert process.end().code == -signal.SIGKILL
    store = SQLiteStore(tmp_path, create=True)
    documents = {source.id for source in store.sources()}
    assert {line.strip() for line in said} <= documents
    whole(store)
    with_vectors = len(store.search_dense(vector("weather"), 10_000))
    assert with_vectors >= 2 * lines
    while units := store.lacking(500):
        store.set_vectors([unit.id for unit in units], np.stack([vector(unit.text) for unit in units]))
    whole(store)
    store.compact()
    whole(store)
    store.close()


def whole(store: SQLiteStore) -> None:
    """Every unit is its document's text, is found by its words, and has its own vector or none."""
    units = store.units(store.find(condition({}), 100_000))
    found = store.search_lexical(terms("weather"), 100_000)
    assert {unit.id for unit in units} == set(found)
    vectors = store.vectors([unit.id for unit in units])
    for unit in units:
        assert store.text(unit.span.doc, unit.span.start, unit.span.end) == unit.text
        assert unit.id not in vectors or np.allclose(vectors[unit.id], vector(unit.text))


def test_bytes_that_no_commit_counts_are_written_over(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path, create=True)
    store.claim(EMBEDDING)
    store.put([record(Document(id="a", path="a", text="One weather report.", sha256="1"))])
    (tmp_path / "vectors-000000.f32").write_bytes(b"\x7f" * 999)
    (unit,) = store.lacking(5)
    store.set_vectors([unit.id], vector(unit.text)[None, :])
    assert np.allclose(store.vectors([unit.id])[unit.id], vector(unit.text))


def test_readers_see_one_state_while_a_writer_works_and_compacts(tmp_path: Path) -> None:
    writer = SQLiteStore(tmp_path, create=True)
    writer.claim(EMBEDDING)
    reader = SQLiteStore(tmp_path)
    texts = {str(n): f"Weather report {n}: {'abcdefghij'[n] * 30}." for n in range(10)}
    for round_ in range(3):
        for name, text in texts.items():
            document = Document(id=name, path=name, text=text + "!" * round_, sha256=f"{name}-{round_}")
            writer.put([record(document)])
            units = writer.lacking(5)
            writer.set_vectors([unit.id for unit in units], np.stack([vector(unit.text) for unit in units]))
            best = reader.units(list(reader.search_dense(vector(text), 1)))
            assert [unit.span.doc for unit in best] == [name]
        writer.compact()
        whole(reader)
    assert len(list(tmp_path.glob("vectors-*"))) == 1


def test_vectors_cut_off_by_hand_are_refused(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path, create=True)
    store.claim(EMBEDDING)
    store.put([record(Document(id="a", path="a", text="One weather report.", sha256="1"))])
    store.set_vectors([unit.id for unit in store.lacking(5)], vector("x")[None, :])
    (tmp_path / "vectors-000000.f32").write_bytes(b"")
    with pytest.raises(UnusableIndex):
        store.search_dense(vector("x"), 1)


def test_a_full_disk_is_said_and_what_was_there_stays(processes: Processes, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses the write in the same way."""
    index = Index.create(tmp_path / "lib")
    index.add([Document(id="a", path="a", text="The first weather report.", sha256="1")])
    index.close()
    program = (
        "import sys\n"
        "from coa.documents import Document\nfrom coa.errors import StorageFailed\n"
        "from coa.retrieval.index import Index\n"
        "index = Index.create(sys.argv[1])\n"
        "text = ' '.join(f'word{n} stands here.' for n in range(60_000))\n"
        "try:\n    index.add([Document(id='b', path='b', text=text, sha256='2')])\n"
        "except StorageFailed as error:\n    print(error.hint)\n"
    )
    done = processes.run("-c", program, tmp_path / "lib", largest_file=300_000)
    assert done.out.strip(), done.err
    again = Index.open(tmp_path / "lib")
    assert [hit.span.doc for hit in again.find("weather report", 5)] == ["a"]
    assert [source.id for source in again.sources] == ["a"]
    again.close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed) as caught:
        Index.create(tmp_path / "file" / "lib")
    assert caught.value.hint
