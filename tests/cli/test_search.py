"""``coa search`` with ``--rerank`` and ``--documents``, as a user types it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coa.testing import FaultServer

SHOWN = re.compile(r"^\[(\d+)\] worth (\d+)", re.MULTILINE)


def judge(prompt: str) -> str:
    """A perfect ranker: reads the numbered passages of a prompt."""
    worth = sorted(((int(value), int(number)) for number, value in SHOWN.findall(prompt)), reverse=True)
    return " > ".join(f"[{number}]" for _, number in worth)


def test_search_reranks_over_a_real_server_and_the_second_time_is_free(coa: Callable[..., Any], tmp_path: Path) -> None:
    for value in random.Random(4).sample(range(60), 30):
        (tmp_path / f"{value}.txt").write_text(f"worth {value} of the lamp")
    lib = str(tmp_path / "lib")
    assert coa("index", *map(str, sorted(tmp_path.glob("*.txt"))), "--index", lib, "-q").code == 0
    ask = ("search", lib, "the lamp", "-k", "3", "--json", "--rerank", "listwise:sliding", "--model", "openai:test")
    with FaultServer(judge) as server:
        planned = coa(*ask, "--base-url", server.base_url, "--dry-run").json()
        assert (server.hits, planned["calls"]) == (0, 2)
        first = coa(*ask, "--base-url", server.base_url).json()
        again = coa(*ask, "--base-url", server.base_url).json()
        assert server.hits == 2
    best = sorted((int(path.stem) for path in tmp_path.glob("*.txt")), reverse=True)[:3]
    assert [int(hit["quote"].split()[1]) for hit in first["hits"]] == best
    assert first["rerank"]["usage"]["calls"] == 2
    assert first["rerank"]["usage"]["prompt_tokens"] > 0
    assert (again["rerank"]["usage"]["calls"], again["rerank"]["usage"]["calls_from_journal"]) == (0, 2)
    assert again["hits"] == first["hits"]
    resumed = coa("resume", first["rerank"]["run_id"], "--json").json()
    assert (resumed["hits"], resumed["rerank"]["usage"]["calls"]) == (first["hits"], 0)
    wrong = coa("search", lib, "the lamp", "-k", "3", "--rerank", "listwise", "--rerank-from", "2")
    assert wrong.code == 2


def test_ask_with_follow_up_questions_over_a_real_server(coa: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "keepers.txt").write_text("The keeper of Gull Stack is Martha Quill.")
    (tmp_path / "births.txt").write_text("Martha Quill was born in Port Ellen.")
    lib = str(tmp_path / "lib")
    assert coa("index", *map(str, tmp_path.glob("*.txt")), "--index", lib, "-q").code == 0

    def reply(prompt: str) -> str:
        if "born in Port Ellen" in prompt and "FOLLOW UP:" in prompt:
            return "ANSWER: In Port Ellen [[born in Port Ellen]]."
        return "FOLLOW UP: Where was Martha Quill born?" if "FOLLOW UP:" in prompt else "In Port Ellen."

    ask = ("ask", lib, "Which town is the keeper of Gull Stack from?", "--retrieve", "20", "--rounds", "2", "--json")
    with FaultServer(reply) as server:
        model = ("--model", "openai:test", "--base-url", server.base_url)
        planned = coa("plan", *ask, *model).json()
        assert (server.hits, planned["calls"], planned["topology"]) == (0, 5, "iterdrag")
        found = coa(*ask, *model).json()
        assert server.hits == found["usage"]["calls"] == 3
    assert found["text"] == "In Port Ellen [1]."
    assert found["steps"] == [{"question": "Where was Martha Quill born?", "answer": "In Port Ellen."}]
    assert found["usage"]["context_tokens"] == found["usage"]["prompt_tokens"] > 0
    shown = coa("show", found["run_id"]).out
    assert "researcher" in shown
    assert coa(*ask[:-3], "6", *model).code == 2
    assert coa(*ask, *model, "--trace").code == 2


def test_search_documents_shows_each_with_its_passages_and_why(coa: Callable[..., Any], tmp_path: Path) -> None:
    storm = "The lantern went out.\n\n" + "Nobody came by that day. " * 40 + "\n\nA storm broke the barometer."
    for name, text in {"storm": storm, "soup": "Pea soup needs bacon and patience."}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    lib = str(tmp_path / "lib")
    assert coa("index", *map(str, sorted(tmp_path.glob("*.txt"))), "--index", lib, "-q").code == 0
    ask = ("search", lib, "lantern in the storm, barometer", "--documents")
    found = coa(*ask, "--json").json()
    (document,) = found["documents"]
    assert (found["query"], Path(document["path"]).name) == (ask[2], "storm.txt")
    assert document["parts"].keys() == {"words", "pairs", "units"}
    assert document["hits"]
    assert all(storm[hit["start"] : hit["end"]] == hit["quote"] for hit in document["hits"])
    plain = coa(*ask).out
    assert "storm.txt" in plain
    assert "pairs" in plain
    refused = coa(*ask, "--context", "100")
    assert refused.code == 2
    assert "--documents" in refused.err
