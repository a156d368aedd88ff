"""From ``--model`` to a model, and what a wrong name says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coa.config import Settings
from coa.errors import MissingExtra, UsageError
from coa.serving.base import Model
from coa.serving.litellm import LiteLLMModel
from coa.serving.openai import OpenAIModel
from coa.serving.resolve import PROVIDERS, VLLM_URL, resolve_model
from coa.testing.conformance import sample_request
from coa.testing.faults import FaultServer

FORMS = ("offline", "openai:NAME", "vllm:NAME", "litellm:PROVIDER/NAME", "scripted:FILE")
PLUGIN = """
from coa.testing.scripted import ScriptedModel

def build(name, settings, env):
    return ScriptedModel(lambda request: name, window=settings.window or 512, name="parrot:" + name)
"""


def test_openai() -> None:
    model = resolve_model(Settings(model="openai:gpt-4o", window=4096, timeout=7), {})
    assert isinstance(model, OpenAIModel)
    assert (model.name, model.window, model.timeout) == ("openai:gpt-4o", 4096, 7)
    assert model.base_url == "https://api.openai.com/v1"


def test_the_address_of_the_settings_comes_before_the_environments() -> None:
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    from_env = resolve_model(Settings(model="openai:m"), env)
    given = resolve_model(Settings(model="openai:m", base_url="http://127.0.0.1:2/v1"), env)
    assert isinstance(from_env, OpenAIModel) and isinstance(given, OpenAIModel)
    assert (from_env.base_url, given.base_url) == ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")


def test_vllm() -> None:
    model = resolve_model(Settings(model="vllm:Qwen/Qwen3-8B"), {})
    assert isinstance(model, OpenAIModel)
    assert (model.name, model.base_url) == ("vllm:Qwen/Qwen3-8B", VLLM_URL)


async def test_vllm_never_gets_the_key_for_openai() -> None:
    async with FaultServer() as server:
        settings = Settings(model="vllm:test", base_url=server.base_url)
        model = resolve_model(settings, {"OPENAI_API_KEY": "sk-secret-of-openai"})
        await model.complete(sample_request())
        keys = [headers["authorization"] for headers in server.headers]
        await model.close()
    assert keys == ["Bearer none"]


def test_scripted(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text('["one"]')
    model = resolve_model(Settings(model=f"scripted:{path}", window=1024))
    assert (model.name, model.window) == (f"scripted:{path}", 1024)


def test_without_a_name_it_is_the_offline_engine() -> None:
    assert resolve_model(Settings()).name.startswith("offline")
    assert resolve_model(Settings(model="offline", window=2048)).window == 2048


@pytest.mark.parametrize("spec", ["gpt-4o", "openai", "openai:", "openai: ", "vllm:", "scripted:", ":", " "])
def test_a_wrong_name_lists_the_right_forms(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model(Settings(model=spec))
    assert repr(spec) in str(caught.value)
    assert all(form in caught.value.hint for form in FORMS)


def test_litellm_or_how_to_get_it() -> None:
    try:
        model = resolve_model(Settings(model="litellm:anthropic/claude-sonnet-4-5"))
    except MissingExtra as error:
        assert "chain-of-agents[litellm]" in error.hint
    else:
        assert isinstance(model, LiteLLMModel) and model.name == "litellm:anthropic/claude-sonnet-4-5"


def test_a_package_can_add_a_provider(tmp_path: Path) -> None:
    (tmp_path / "parrot.py").write_text(PLUGIN)
    info = tmp_path / "parrot-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[coa.models]\nparrot = parrot:build\n")
    sys.path.insert(0, str(tmp_path))
    try:
        model = resolve_model(Settings(model="parrot:polly"))
        with pytest.raises(UsageError) as caught:
            resolve_model(Settings(model="macaw:x"))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("parrot", None)
    assert isinstance(model, Model)
    assert (model.name, model.window) == ("parrot:polly", 512)
    assert "parrot:NAME" in caught.value.hint


def test_resolving_loads_no_client() -> None:
    code = (
        "import sys\n"
        "from coa.config import Settings\n"
        "from coa.serving.resolve import resolve_model\n"
        "resolve_model(Settings(model='openai:gpt-5-mini')); resolve_model(Settings(model='vllm:x'))\n"
        "print(sorted({'openai', 'litellm', 'httpx', 'httpx2', 'langgraph', 'torch'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_registry_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        PROVIDERS["mine"] = PROVIDERS["openai"]  # type: ignore[index]
