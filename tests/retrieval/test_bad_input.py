"""What an index is given that it cannot use: a typed error with a hint, and nothing that was there is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import coa
from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.index import Index
from coa.testing.stores import vector
from tests.processes import Processes

REPORT = Document(id="a", path="a", text="The first weather report.", sha256="1")


class Letters:
    """An embedder that counts letters, ``wide`` times over."""

    name, fingerprint, window = "letters", "letters:1", 10_000

    def __init__(self, wide: int = 1) -> None:
        self.dimensions = 26 * wide
        self._wide = wide

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([np.tile(vector(text), self._wide) / self._wide**0.5 for text in texts]).astype(np.float32)


class Broken(Letters):
    """An embedder whose vectors fit its index, until they do not."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = super().embed(texts)
        return {"longer": np.hstack([found, found]), "fewer": found[1:], "nan": found * np.float32("nan")}[self._how]


@pytest.mark.parametrize("embedder", [None, Letters()])
def test_an_empty_index_finds_nothing_and_takes_nothing(tmp_path: Path, embedder: Letters | None) -> None:
    index = Index.create(tmp_path / "lib", embedder=embedder)
    assert index.add([]) == 0
    assert index.find("weather", 5) == []
    assert index.context([], 100).passages == ()
    assert index.add([Document(id="b", path="b", text=" \n ", sha256="2")]) == 1
    assert index.find("weather", 5) == []
    index.compact()
    assert index.add([REPORT]) == 1
    assert [hit.span.doc for hit in index.find("weather", 5)] == ["a"]
    index.close()


@pytest.mark.parametrize("how", ["longer", "fewer", "nan"])
def test_an_embedder_that_gives_wrong_vectors_is_refused(tmp_path: Path, how: str) -> None:
    index = Index.create(tmp_path / "lib", embedder=Broken(how))
    with pytest.raises(UsageError) as caught:
        index.add([REPORT, Document(id="b", path="b", text="A second one.", sha256="2")])
    assert caught.value.hint
    assert index.find("weather", 5, mode="bm25")
    with pytest.raises(UsageError):
        Index(index.store, Broken("longer")).find("weather", 5, mode="dense")
    index.close()
    again = Index.create(tmp_path / "lib", embedder=Letters())
    assert again.fill() == 2
    assert again.find("weather report", 1, mode="dense")[0].span.doc == "a"
    again.close()


@pytest.mark.slow
def test_two_programs_that_index_at_once_lose_nothing(processes: Processes, tmp_path: Path) -> None:
    for half in ("one", "two"):
        (tmp_path / half).mkdir()
        for number in range(40):
            text = f"Entry {number} of {half} mentions marmalade. " * 20
            (tmp_path / half / f"{number}.txt").write_text(text)
    command = ("-m", "coa", "index", "--index", tmp_path / "lib", "--quiet")
    running = [processes.start(*command, tmp_path / half) for half in ("one", "two")]
    ended = [process.end() for process in running]
    assert [(each.code, each.err) for each in ended] == [(0, "")] * 2
    index = Index.open(tmp_path / "lib")
    assert len(index.sources) == 80
    assert len({hit.span.doc for hit in index.find("marmalade", 1_000)}) == 80
    index.close()


def test_a_disk_that_is_full_of_vectors_keeps_the_words(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses the write in the same way."""
    text = " ".join(f"Report {n} tells of the weather in the valley and of the state of the road." for n in range(400))
    index = Index.create(tmp_path / "lib")
    index.add([Document(id="a", path="a", text=text, sha256="1")])
    index.close()
    program = (
        f"import resource, signal, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_bad_input import Letters\n"
        "from coa.errors import StorageFailed\nfrom coa.retrieval.index import Index\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "index = Index.create(sys.argv[1], embedder=Letters(1_000))\n"
        "try:\n    index.fill()\nexcept StorageFailed as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "lib")], capture_output=True, text=True)
    assert "Free some space" in done.stdout, done.stderr
    again = Index.create(tmp_path / "lib", embedder=Letters(1_000))
    waiting = again.store.waiting()
    assert again.fill() == waiting > 0
    assert again.find("the road", 3)
    again.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("text", ["prose", "no blank"])
def test_a_document_of_50_megabytes_is_found_word_for_word(tmp_path: Path, text: str) -> None:
    if text == "prose":
        lines = (
            f"Entry {n}: the wind was {n % 9} and the lamp took {n % 31} measures of oil.\n" for n in range(800_000)
        )
        whole = "".join(lines)
    else:
        whole = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(17_000_000))
    path = tmp_path / "large.txt"
    path.write_text(whole, "utf-8")
    assert path.stat().st_size > 50_000_000
    index = coa.index(path, tmp_path / "lib")
    query = "entry 777777" if text == "prose" else whole[9_000_000:9_000_006]
    hits = index.find(query, 3)
    loaded = coa.load(path).text
    assert query[:5].lower() in hits[0].text.lower()
    assert all(loaded[hit.span.start : hit.span.end] == hit.text for hit in hits)
    index.close()
