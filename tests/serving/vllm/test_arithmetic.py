"""The plan's figures against arithmetic done by hand."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.errors import UsageError
from coa.serving.vllm.arithmetic import GPUS, architecture_of, capacity, known_models, kv_bytes_per_token, variants

HAND = [
    # KV bytes a token = 2 x layers x KV heads x head size x 2 bytes; a user = that x tokens; users = (0.9 x memory -
    # 2 bytes x parameters) / user; reading = (2 x parameters x tokens + 2 x layers x heads x head size x tokens^2) /
    # half of the peak; writing a token = (weights + one user) / bandwidth; switching = one user / bus. On paper:
    #  model, GPU, GPUs, tokens: bytes a token, bytes a user, users, s to read, ms a token written, s to switch
    # 2x32x8x128x2 | x 100,000 | (72 - 16.06) / 13.11 = 4.27 | (1.606 + 2.621)e15 / 494.5e12 | 29.17e9 / 3.35e12
    ("Llama-3.1-8B-Instruct", "h100", 1, 100_000, 131_072, 13.1072e9, 4, 8.5489, 8.7067, 0.2048),
    # 2x60x8x128x2 | x 50,000 | (144 - 68.8) / 12.29 = 6.12 | (3.44 + 2.1504)e15 / 312e12 | 81.088e9 / 4.08e12
    ("Yi-34B-200K", "a100-80", 2, 50_000, 245_760, 12.288e9, 6, 17.9179, 19.8745, 0.192),
    # 2x28x4x128x2 | x 1,000,000 | (126.9 - 15.22) / 57.34 = 1.95 | (0.1522 + 2.00704)e17 / 494.5e12 | 72.564e9 / 4.8e12
    ("Qwen2.5-7B-Instruct-1M", "h200", 1, 1_000_000, 57_344, 57.344e9, 1, 436.65, 15.1175, 0.896),
    # 2x64x8x128x2 | x 131,072 | (144 - 65.6) / 34.36 = 2.28 | (0.85983 + 1.12590)e16 / 312e12 | 99.960e9 / 4.08e12
    ("QwenLong-L1-32B", "a100-80", 2, 131_072, 262_144, 34.359738e9, 2, 63.645, 24.4999, 0.53687),
    # 2x40x40x128x2 | x 32,768 | (72 - 26) / 26.84 = 1.71 | (8.51968 + 4.39805)e14 / 494.5e12 | 52.8435e9 / 3.35e12
    ("Giraffe-v2-13b-32k", "h100", 1, 32_768, 819_200, 26.843546e9, 1, 2.6123, 15.7742, 0.41943),
]


@pytest.mark.parametrize("row", HAND, ids=[row[0] for row in HAND])
def test_the_plan_agrees_with_arithmetic_done_by_hand(row: tuple):
    name, gpu, gpus, tokens, per_token, per_user, users, reading, writing, switching = row
    model = architecture_of(name)
    assert kv_bytes_per_token(model) == per_token
    found = capacity(name, model, gpu, context=tokens, gpus=gpus)
    assert found.kv_bytes_per_user == pytest.approx(per_user, rel=1e-6)
    assert found.users == users
    assert found.prefill_seconds == pytest.approx(reading, rel=2e-4)
    assert found.decode_seconds_per_token * 1e3 == pytest.approx(writing, rel=2e-4)
    assert found.switch_seconds == pytest.approx(switching, rel=2e-4)


def test_weights_that_leave_no_room_leave_no_user():
    found = capacity("yi", architecture_of("01-ai/Yi-34B-200K"), "a100-80", context=50_000)
    assert found.users == 0 and found.weights_bytes == 68.8e9  # 72 GB less 68.8 GB leaves 3.2 GB; a user has 12.3


def test_hybrids_heads_and_the_hosts_memory():
    model = architecture_of("Llama-3.1-8B-Instruct")
    kinds = {
        kind: capacity("m", other, "h100", context=100_000, **how) for kind, (other, how) in variants(model).items()
    }
    # 8 of 32 layers keep 100,000 tokens, 24 keep 4,096: 2 x 8 x 128 x 2 bytes x (800,000 + 98,304) tokens
    assert kinds["hybrid: 8 of 32 layers full"].kv_bytes_per_user == 4096 * 898_304
    assert kinds["without grouped queries"].kv_bytes_per_user == 4 * 13.1072e9
    assert kinds["cache in 8 bits"].kv_bytes_per_user == 13.1072e9 / 2
    assert capacity("m", model, "h100", context=100_000, host_memory=132e9).parked == 10


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
    mixed = config | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}
    (tmp_path / "config.json").write_text(json.dumps(mixed), "utf-8")
    hybrid = architecture_of(str(tmp_path))
    assert (hybrid.full_layers, hybrid.window) == (1, 64) and kv_bytes_per_token(hybrid) == 2 * 2 * 32 * 2
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(UsageError, match="dense model"):
        architecture_of(str(tmp_path))


def test_every_preset_can_be_planned_on_every_gpu():
    for name, model in known_models().items():
        assert model.rope and model.longest >= 32_768
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
    assert done.exit_code == 0 and "147,456 bytes a token" in done.stdout and "longer than the 131,072" in done.stdout
    assert "--reasoning-parser qwen3" in done.stdout and "hybrid: 9 of 36" in done.stdout
    giraffe = runner.invoke(app, ["vllm", "plan", "Giraffe-v2-13b-32k", "--host-memory", "512"]).stdout
    assert "19 more users" in giraffe and "--chat-template" in giraffe and "coa vllm adds the scaling" in giraffe
    data = json.loads(runner.invoke(app, ["vllm", "plan", "Qwen3-8B", "--kv", "fp8", "--json"]).stdout)
    assert data["kv_bytes_per_token"] == 73_728 and data["context"] == 40_960
    for wrong in (["vllm"], ["vllm", "plan"], ["vllm", "plan", "Qwen3-8B", "--kv", "int3"]):
        assert isinstance(runner.invoke(app, wrong).exception, UsageError)
