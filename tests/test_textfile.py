"""Small text files: what a user names is read whole, or the error says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from coa.errors import InputNotFound, InputUnreadable
from coa.textfile import read_text, text_or_file


def test_a_text_is_itself_and_a_file_is_its_text(tmp_path: Path) -> None:
    (tmp_path / "brief.txt").write_text("A year on the rock, day by day.", "utf-8-sig")
    assert text_or_file("A year on the rock.") == "A year on the rock."
    assert text_or_file(f"@{tmp_path / 'brief.txt'}") == "A year on the rock, day by day."


def test_what_cannot_be_read_is_said_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Fæstning".encode("latin-1"))
    with pytest.raises(InputUnreadable) as wrong:
        read_text(tmp_path / "latin.txt")
    assert "UTF-8" in str(wrong.value.hint)
    with pytest.raises(InputNotFound):
        text_or_file("@nowhere.txt")
    with pytest.raises(InputUnreadable):
        text_or_file("@" + str(tmp_path))
