from importlib.resources import files
from pathlib import Path

import pytest

from coa.errors import UsageError
from coa.prompts import Prompts

NAMES = sorted(Path(str(entry)).stem for entry in files("coa.prompts").iterdir() if entry.name.endswith(".md"))


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_renders_with_exactly_the_inputs_it_declares(name: str):
    prompt = Prompts()[name]
    values = {key: f"<{key}>" for key in prompt.inputs}
    text = prompt.render(**values)
    assert all(f"<{key}>" in text for key in prompt.inputs)


def test_a_missing_or_extra_input_is_an_error():
    with pytest.raises(UsageError, match="words"):
        Prompts()["repair"].render(problem="it was empty")
    with pytest.raises(UsageError, match="extra"):
        Prompts()["repair"].render(problem="x", words=1, extra=1)


def test_text_that_looks_like_a_template_stays_text():
    prompt = Prompts()["worker_summary"]
    values = {key: "" for key in prompt.inputs} | {"passage": "{{ 7*7 }} {% raw %}"}
    assert "{{ 7*7 }} {% raw %}" in prompt.render(**values)


def test_a_folder_overrides_single_prompts_and_must_keep_their_inputs(tmp_path: Path):
    (tmp_path / "repair.md").write_text(
        "---\nversion: 9\ninputs: [problem, words]\n---\nAgain: {{ problem }} {{ words }}\n"
    )
    assert Prompts(tmp_path)["repair"].render(problem="p", words=3) == "Again: p 3"
    assert Prompts(tmp_path)["worker_system"].version == Prompts()["worker_system"].version
    (tmp_path / "repair.md").write_text("---\nversion: 9\ninputs: [problem]\n---\nAgain: {{ problem }}\n")
    with pytest.raises(UsageError, match="other inputs"):
        Prompts(tmp_path)["repair"]


def test_front_matter_that_cannot_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "repair.md").write_text("Again!")
    with pytest.raises(UsageError, match="front matter"):
        Prompts(tmp_path)["repair"]
