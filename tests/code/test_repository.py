"""Which files of a stranger's repository are read: bounded, without links, without what Git ignores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coa.code.bundle import bundle
from coa.code.ignored import Ignored
from coa.code.repository import RepositoryLimits, file_of, read_source, source_files
from coa.documents.document import Document
from coa.errors import InputNotFound, InputTooLarge, InputUnreadable, UnsafeInput
from coa.types import Answer, Citation, Coverage, Span, Unread


def put(root: Path, path: str, text: str | bytes = "x = 1\n") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_only_source_files_that_people_wrote_and_git_keeps(tmp_path: Path):
    for path in ("a.py", "pkg/b.py", "web/app.ts", "node_modules/x/y.js", ".venv/z.py", "notes.txt", "build/c.py"):
        put(tmp_path, path)
    put(tmp_path, "gen/deep/d.py")
    put(tmp_path, "gen/keep.py")
    put(tmp_path, "pkg/local.py")
    put(tmp_path, ".gitignore", "gen/*\n!gen/keep.py\n# b.py\n")
    put(tmp_path, "pkg/.gitignore", "/local.py\n")
    assert source_files(tmp_path) == ["a.py", "gen/keep.py", "pkg/b.py", "web/app.ts"]


def test_links_are_not_followed(tmp_path: Path):
    outside = tmp_path / "outside"
    put(outside, "secret.py")
    repo = tmp_path / "repo"
    put(repo, "a.py")
    (repo / "linked").symlink_to(outside, target_is_directory=True)
    (repo / "loop").symlink_to(repo, target_is_directory=True)
    (repo / "link.py").symlink_to(outside / "secret.py")
    assert source_files(repo) == ["a.py"]
    with pytest.raises(UnsafeInput):
        file_of(repo, "link.py")
    with pytest.raises(UnsafeInput):
        file_of(repo, "../outside/secret.py")
    with pytest.raises(UnsafeInput):
        file_of(repo, outside / "secret.py")


def test_what_is_too_much_or_no_text(tmp_path: Path):
    put(tmp_path, "binary.c", b"\x00\x01\x02")
    put(tmp_path, "made.js", "x" * 100_000)
    put(tmp_path, "large.py", "a = 1\n" * 200_000)
    put(tmp_path, "empty.py", "\n\n")
    put(tmp_path, "good.py")
    assert [path for path in source_files(tmp_path) if read_source(tmp_path, path)] == ["good.py"]
    with pytest.raises(InputUnreadable):
        file_of(tmp_path, "binary.c")
    with pytest.raises(InputTooLarge):
        source_files(tmp_path, RepositoryLimits(files=2))
    with pytest.raises(InputNotFound):
        source_files(tmp_path / "nowhere")
    with pytest.raises(InputNotFound):
        file_of(tmp_path, "nowhere.py")


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("*.log.py", "a/b/x.log.py", True),
        ("docs/", "docs/x", False),
        ("docs/", "docs", True),
        ("/top.py", "sub/top.py", False),
        ("a/**/z.py", "a/z.py", True),
        ("a/**/z.py", "a/b/c/z.py", True),
        ("**/z", "q/z", True),
        ("a/*.py", "a/b/c.py", False),
        ("x[0-9].py", "x7.py", True),
    ],
)
def test_patterns_mean_what_git_means(pattern: str, path: str, ignored: bool, tmp_path: Path):
    put(tmp_path, ".gitignore", pattern + "\n")
    folder = not path.endswith(".py") and pattern != "docs/x"
    rules = Ignored().below(tmp_path, 0)
    assert rules.covers(path.split("/"), folder=folder and path != "docs/x") is ignored


def test_a_hostile_gitignore_costs_little_time(tmp_path: Path):
    put(tmp_path, ".gitignore", ("*a" * 60 + "b\n") * 1500)
    put(tmp_path, "a" * 200 + ".py")
    began = os.times().user
    assert len(source_files(tmp_path)) == 1
    assert os.times().user - began < 5.0


def test_a_bundle_leads_back_to_its_files():
    a = Document(id="a.py", path="/r/a.py", text="one = 1\ntwo = 2\n", sha256="a")
    b = Document(id="b.py", path="/r/b.py", text="def three():\n    return 3\n", sha256="b")
    both = bundle("r", "/r", [a, b], {"a.py": 8})
    text = both.document.text
    assert "two" not in text and text.count("==== FILE ") == 2
    start = text.index("    return 3")
    span = both.document.span(start, start + 12)
    assert both.locate(span) == b.span(13, 25) and b.read(both.locate(span)) == "    return 3"
    assert both.locate(both.document.span(0, 3)) == a.span(0, 0)
    answer = Answer(
        text="x",
        status="partial",
        run_id="r",
        model="m",
        citations=(Citation(marker=0, span=span, quote="    return 3", line=9),),
        coverage=Coverage(chunks=1, failed=(Unread(span=both.document.span(0, len(text)), reason="r"),)),
    )
    out = both.unpacked(answer)
    assert (out.citations[0].span, out.citations[0].line) == (b.span(13, 25), 2)
    assert [source.id for source in out.documents] == ["a.py", "b.py"] and out.documents[0].chars == 16
    assert isinstance(out.coverage.failed[0].span, Span) and out.coverage.failed[0].span.doc == "a.py"
