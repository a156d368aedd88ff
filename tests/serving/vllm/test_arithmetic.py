"""The plan's figures against arithmetic done by hand."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.errors import UsageError
from coa.serving.vllm.arithmetic import GPUS, architecture_of, capacity, known_models, kv_bytes_per_token


@pytest.mark.parametrize(
    ("name", "per_token"),
    [
        ("Llama-3.1-8B-Instruct", 131_072),  # 2 x 32 layers x 8 heads x 128 x 2 bytes
        ("Yi-34B-200K", 245_760),  # 2 x 60 x 8 x 128 x 2
        ("Qwen2.5-7B-Instruct-1M", 57_344),  # 2 x 28 x 4 x 128 x 2
        ("QwenLong-L1-32B", 262_144),  # 2 x 64 x 8 x 128 x 2
        ("Giraffe-13b-32k", 819_200),  # 2 x 40 x 40 x 128 x 2
    ],
)
def test_bytes_a_token_are_those_worked_out_by_hand(name: str, per_token: int):
    assert kv_bytes_per_token(architecture_of(name)) == per_token


def test_users_and_times_of_yi_34b_on_one_a100():
    found = capacity("yi", architecture_of("01-ai/Yi-34B-200K"), "a100-80", context=50_000)
    assert found.kv_bytes_per_user == 245_760 * 50_000 == 12_288_000_000
    assert found.weights_bytes == 68.8e9
    assert found.users == 0  # 72 GB less 68.8 GB of weights leaves 3.2 GB
    two = capacity("yi", architecture_of("01-ai/Yi-34B-200K"), "a100-80", context=50_000, gpus=2)
    assert two.users == 6  # 144 - 68.8 = 75.2 GB for 12.3 GB each
    flops = 2 * 34.4e9 * 50_000 + 2 * 60 * 56 * 128 * 50_000**2
    assert found.prefill_seconds == pytest.approx(flops / (312e12 * 0.5))
    assert found.decode_seconds_per_token == pytest.approx((68.8e9 + 12.288e9) / 2.04e12)
    assert found.switch_seconds == pytest.approx(12.288e9 / 32e9)


def test_fp8_halves_the_cache_and_streaming_heads_keep_few_tokens():
    model = architecture_of("Llama-3.1-8B-Instruct")
    full = capacity("m", model, "h100", context=100_000)
    assert capacity("m", model, "h100", context=100_000, kv_bytes=1).kv_bytes_per_user == full.kv_bytes_per_user / 2
    half = capacity("m", model, "h100", context=100_000, streaming=0.5)
    assert half.kv_bytes_per_user == 131_072 * (0.5 * 1152 + 0.5 * 100_000)
    assert half.users > full.users and half.prefill_seconds < full.prefill_seconds


def test_a_folder_is_read(tmp_path: Path):
    config = {
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 128,
        "intermediate_size": 256, "vocab_size": 1000, "max_position_embeddings": 2048, "tie_word_embeddings": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    found = architecture_of(str(tmp_path))
    assert found.head_dim == 32 and found.context == 2048
    assert found.params == 2 * (128 * 32 * 12 + 3 * 128 * 256) + 1000 * 128
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(UsageError, match="dense model"):
        architecture_of(str(tmp_path))


def test_every_preset_can_be_planned_on_every_gpu():
    for name, model in known_models().items():
        for gpu in GPUS:
            assert capacity(name, model, gpu, gpus=8).kv_bytes_per_user > 0


def test_nonsense_is_refused():
    model = architecture_of("Qwen3-8B")
    for given in ({"gpus": 0}, {"context": -1}, {"streaming": 2.0}):
        with pytest.raises(UsageError):
            capacity("m", model, "h200", **given)
    with pytest.raises(UsageError, match="unknown GPU"):
        capacity("m", model, "abacus")
    with pytest.raises(UsageError, match="no known model"):
        architecture_of("nobody/nothing")


def test_the_command_prints_the_plan():
    runner = CliRunner()
    done = runner.invoke(app, ["vllm", "plan", "Qwen3-8B", "--gpu", "h100", "--context", "200000"])
    assert done.exit_code == 0 and "147,456 bytes a token" in done.stdout and "longer than" in done.stdout
    data = json.loads(runner.invoke(app, ["vllm", "plan", "Qwen3-8B", "--kv", "fp8", "--json"]).stdout)
    assert data["kv_bytes_per_token"] == 73_728 and data["context"] == 40_960
    for wrong in (["vllm"], ["vllm", "plan"], ["vllm", "plan", "Qwen3-8B", "--kv", "int3"]):
        assert isinstance(runner.invoke(app, wrong).exception, UsageError)
