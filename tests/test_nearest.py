"""Names that are spelt wrong."""

from pathlib import Path

import pytest

import coa
from coa.config import load_settings
from coa.errors import UsageError
from coa.nearest import nearest


def test_the_nearest_name_or_all_of_them():
    assert nearest("windw", ("window", "words")) == "Did you mean 'window'?"
    assert nearest("zzz", ("words", "window")) == "Choose one of: window, words."


def test_options_and_settings_say_it_alike(tmp_path: Path):
    (tmp_path / "config.toml").write_text("windw = 4096")
    with pytest.raises(UsageError) as of_file:
        load_settings({"COA_CONFIG": str(tmp_path / "config.toml")})
    with pytest.raises(UsageError) as of_option:
        coa.ask("a.txt", "Who?", windw=4096)  # pyright: ignore[reportCallIssue]
    assert of_option.value.hint == "Did you mean 'window'?"
    assert of_file.value.hint.startswith(of_option.value.hint)
