"""Embeddings over HTTP: a real server on loopback, faults and nonsense included."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coa.documents import Document
from coa.errors import AuthenticationFailed, MalformedReply, UsageError
from coa.retrieval.api_embedder import ApiEmbedder
from coa.retrieval.embedders import resolve_embedder
from coa.retrieval.encoders import ENCODERS, Encoder
from coa.retrieval.index import Index
from coa.runtime.retry import RetryPolicy
from coa.testing import FAULTS, Fault, FaultServer
from coa.testing.clock import FakeClock
from coa.testing.stores import vector


def letters(text: str) -> list[float]:
    return [2.0 * float(x) for x in vector(text)]


def embedder(server: FaultServer, **options: Any) -> ApiEmbedder:
    policy = RetryPolicy(retries=3, clock=FakeClock())
    return ApiEmbedder("letters", base_url=server.base_url, policy=policy, **options)


def test_vectors_come_in_the_order_of_the_texts_at_unit_length() -> None:
    texts = [f"text {chr(97 + n % 26)} {n}" for n in range(150)]
    with FaultServer(embed=letters) as server:
        made = embedder(server)
        found = made.embed([*texts, "", "  "])
        assert server.hits == 3
        assert server.requests[0]["encoding_format"] == "float"
        assert sorted(len(body["input"]) for body in server.requests) == [22, 64, 64]
    wanted = np.stack([vector(text) for text in texts])
    assert found[:150] == pytest.approx(wanted / np.linalg.norm(wanted, axis=1, keepdims=True), abs=1e-6)
    assert found[150:].tolist() == [[0.0] * 26] * 2
    assert made.dimensions == 26


def test_a_text_beyond_the_window_is_sent_in_parts_and_none_is_too_long() -> None:
    encoder = Encoder(model="letters", window=64, dimensions=26, pooling="server")
    text = "".join(f"Day {n}: the keeper rowed out. " for n in range(60))
    text += "".join(f"Zoo {n}: zebra zebra zebra. " for n in range(30))
    with FaultServer(embed=letters) as server:
        made = embedder(server, encoder=encoder)
        (found,) = made.embed([text])
        sent = [part for body in server.requests for part in body["input"]]
    assert "".join(sorted(sent, key=text.index)) == text
    assert all(made._counter.count(part) <= made.window < 64 for part in sent)
    assert found[25] > 0.05, "the z of the end is in it"


def test_prefixes_are_sent_and_belong_to_the_fingerprint() -> None:
    encoder = Encoder(model="letters", window=512, dimensions=26, pooling="server", query="ask: ", passage="say: ")
    with FaultServer(embed=letters) as server:
        made, plain = embedder(server, encoder=encoder), embedder(server)
        made.embed(["a"])
        made.embed_queries(["b"])
        plain.embed(["c"])
        assert [body["input"] for body in server.requests] == [["say: a"], ["ask: b"], ["c"]]
        assert made.fingerprint != plain.fingerprint
        assert plain.fingerprint == "api:letters:26"


def test_failures_are_sent_again_by_the_one_policy_and_a_refusal_is_final() -> None:
    with FaultServer(embed=letters, faults=[FAULTS["429"], FAULTS["reset"], FAULTS["503"]]) as server:
        assert embedder(server).embed(["a"]).shape == (1, 26)
        assert server.hits == 4
    with FaultServer(embed=letters, faults=[Fault(status=401)]) as server, pytest.raises(AuthenticationFailed):
        embedder(server).embed(["a"])


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": []}],
        [{"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": ["x"]}],
        [{"index": 0, "embedding": [math.nan]}],
        [{"index": "first", "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0, 2.0]}],
        "nonsense",
        None,
    ],
)
def test_vectors_that_cannot_be_are_refused(data: object) -> None:
    encoder = Encoder(model="letters", window=512, dimensions=1, pooling="server")
    body = json.dumps({"data": data})
    with FaultServer(embed=letters, faults=[Fault(body=body)]) as server:
        with pytest.raises(MalformedReply) as caught:
            embedder(server, encoder=encoder).embed(["a"])
        assert caught.value.hint


def test_vectors_of_two_lengths_in_one_reply_are_refused() -> None:
    def uneven(text: str) -> Sequence[float]:
        return [1.0] * len(text)

    with FaultServer(embed=uneven) as server, pytest.raises(MalformedReply):
        embedder(server).embed(["a", "bb"])


async def test_an_index_over_a_server_is_opened_by_its_name_alone(tmp_path: Path) -> None:
    with FaultServer(embed=letters) as server:
        name = f"openai:letters@{server.base_url}"
        index = Index.create(tmp_path / "lib", embedder=name)
        index.add([Document(id=text, path=text, text=text, sha256=text) for text in ("zebras graze.", "ants march.")])
        index.close()
        again = Index.open(tmp_path / "lib")
        (best, *_) = await again.search("zebras", 2, mode="dense")
        assert best.text == "zebras graze."
        assert again.find("ants", 1, mode="dense")[0].text == "ants march.", "also inside a running loop"
        again.close()


def test_encoders_are_complete_and_a_key_goes_to_its_own_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ENCODERS) >= {"m2-bert-32k", "bge-m3", "jina-v2-en", "jina-v3", "qwen3-0.6b"}
    for name, encoder in ENCODERS.items():
        assert encoder.window >= 8192, name
        assert encoder.pooling in ("mean", "cls", "last", "server")
        assert (encoder.pooling == "server") == bool(encoder.url)
    monkeypatch.setenv("TOGETHER_API_KEY", "secret-1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret-2")
    with FaultServer(embed=lambda _: [1.0] * 768) as server:
        made = resolve_embedder(f"m2-bert-32k@{server.base_url}")
        assert made.embed(["a"]).shape == (1, 768)
        assert server.requests[0]["model"] == "togethercomputer/m2-bert-80M-32k-retrieval"
        assert not any("secret" in headers.get("authorization", "") for headers in server.headers)
    own = resolve_embedder("m2-bert-32k")
    assert isinstance(own, ApiEmbedder)
    assert (own._base_url, own._key) == ("https://api.together.xyz/v1", "secret-1")


@pytest.mark.parametrize("name", ["openai:", "openai:m@ftp://x", "m2-bert-32k+pcw", "openai:m@folder"])
def test_a_name_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_embedder(name)
    assert caught.value.hint


def test_a_server_needs_no_torch() -> None:
    code = (
        "import sys; from coa.retrieval.embedders import resolve_embedder; "
        "resolve_embedder('openai:m@http://127.0.0.1:9/v1'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
