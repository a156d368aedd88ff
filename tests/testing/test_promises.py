"""Every test that a page names is there: a promise whose test was renamed or removed is found out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w./-]+)(?:::(\w+))?")
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "SECURITY.md"]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def missing(text: str) -> list[str]:
    found: list[str] = []
    for path, name in NAMED.findall(text):
        there = (ROOT / path).exists()
        if not there or (name and name not in functions(ROOT / path)):
            found.append(f"{path}::{name}" if name else path)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_is_named_exists(page: Path):
    assert missing(page.read_text("utf-8")) == []


def test_a_name_that_is_not_there_is_found():
    assert missing("see `tests/testing/test_promises.py::test_nothing_of_the_kind` and `tests/gone.py`") == [
        "tests/testing/test_promises.py::test_nothing_of_the_kind",
        "tests/gone.py",
    ]
    assert missing("see `tests/testing/test_promises.py::test_a_name_that_is_not_there_is_found`") == []


@pytest.mark.parametrize(("page", "rows"), [("reliability", 11 + 27), ("security", 18)])
def test_every_promise_names_its_test(page: str, rows: int):
    lines = (ROOT / "docs" / f"{page}.md").read_text("utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ") and not line.startswith(("| promise", "| who", "| #"))]
    assert len(table) >= rows
    assert [line for line in table if not NAMED.search(line)] == []
