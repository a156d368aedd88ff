"""What a long context costs on a GPU: memory for weights and KV cache, time to read, time to write, users at once.

The arithmetic of *Challenges in Deploying Long-Context Transformers* (arXiv 2405.08944, section 2): reading is bound by
compute, writing by memory bandwidth, users by memory, switching users by the bus to the host.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coa.errors import UsageError

UTILISATION = 0.5
"""The share of the peak that reading is assumed to reach."""
MEMORY_SHARE = 0.9
"""The share of the memory that vLLM takes for weights and cache by default."""
SINK, RECENT = 128, 1024
"""Tokens that a streaming head keeps (DuoAttention, arXiv 2410.10819)."""
_HYBRID_WINDOW = 4096
_GROUP = 8


class Extension(BaseModel):
    """A context that the makers vouch for, with scaled positions.

    Attributes:
        beyond: Tokens up to which it does without.
        context: Tokens up to which it is good.
        rope_parameters: How positions are scaled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beyond: int = Field(ge=1)
    context: int = Field(ge=1)
    rope_parameters: dict[str, float | int | str]

    @property
    def overrides(self) -> dict[str, Any]:
        """What goes into vLLM's ``--hf-overrides``."""
        # With YaRN vLLM 0.32 takes the published length for the scaled one and refuses more.
        longer = {"max_position_embeddings": self.context} if self.rope_parameters.get("rope_type") == "yarn" else {}
        return {"rope_parameters": self.rope_parameters, **longer}


class Architecture(BaseModel):
    """What of a model decides its cost, and how it is started.

    Attributes:
        params: In numbers.
        context: Tokens that it takes as it is published.
        full_layers: Layers whose cache grows with the context; None is all of them. The others (sliding window, linear
            attention) keep ``window`` tokens each.
        rope: How positions were stretched, for people.
        extension: A longer context with scaled positions.
        chat_template: Whether it comes with one; without it ``/chat/completions`` refuses.
        reasoning_parser: vLLM's name for the way it thinks aloud.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    params: float = Field(gt=0)
    context: int = Field(ge=1)
    full_layers: int | None = Field(default=None, ge=0)
    window: int = Field(default=0, ge=0)
    rope: str = ""
    extension: Extension | None = None
    chat_template: bool = True
    reasoning_parser: str = ""
    note: str = ""

    @property
    def longest(self) -> int:
        """Tokens that it takes, with scaled positions where the makers give a scale."""
        return max(self.context, self.extension.context if self.extension else 0)

    def layer_tokens(self, tokens: float) -> float:
        """Tokens kept, added up over layers, when a layer with full attention keeps so many."""
        full = self.layers if self.full_layers is None else min(self.full_layers, self.layers)
        return full * tokens + (self.layers - full) * min(self.window, tokens)


class Gpu(BaseModel):
    """Memory in bytes, dense bf16 compute in FLOP/s, bandwidths of memory and of the bus to the host in bytes/s."""

    model_config = ConfigDict(frozen=True)

    memory: float
    flops: float
    bandwidth: float
    bus: float


GPUS: Mapping[str, Gpu] = MappingProxyType(
    {
        "h200": Gpu(memory=141e9, flops=989e12, bandwidth=4.8e12, bus=64e9),
        "h100": Gpu(memory=80e9, flops=989e12, bandwidth=3.35e12, bus=64e9),
        "a100-80": Gpu(memory=80e9, flops=312e12, bandwidth=2.04e12, bus=32e9),
        "l40s": Gpu(memory=48e9, flops=362e12, bandwidth=0.864e12, bus=32e9),
        "rtx4090": Gpu(memory=24e9, flops=165e12, bandwidth=1.008e12, bus=32e9),
    }
)
"""Figures of the makers' data sheets."""


class Capacity(BaseModel):
    """What a model does on a GPU at a context length. Bytes and seconds; ``users`` is 0 where not even one fits.

    ``parked`` users have their caches in the host's memory, and one comes back in ``switch_seconds``.
    """

    model: str
    gpu: str
    gpus: int
    context: int
    kv_bytes_per_token: int
    weights_bytes: float
    kv_bytes_per_user: float
    users: int
    parked: int
    prefill_seconds: float
    decode_seconds_per_token: float
    switch_seconds: float
    fits_context: bool
    note: str = ""


def kv_bytes_per_token(model: Architecture, kv_bytes: float = 2.0) -> int:
    """Keys and values of one more token, in bytes, in all layers whose cache grows."""
    full = model.layers if model.full_layers is None else model.full_layers
    return int(2 * full * model.kv_heads * model.head_dim * kv_bytes)


def capacity(
    name: str,
    model: Architecture,
    gpu_name: str,
    *,
    context: int | None = None,
    gpus: int = 1,
    kv_bytes: float = 2.0,
    weight_bytes: float = 2.0,
    streaming: float = 0.0,
    host_memory: float = 0.0,
) -> Capacity:
    """The plan of one model on ``gpus`` GPUs of a kind.

    Args:
        name: Of the model, for people.
        model: Its architecture.
        gpu_name: One of `GPUS`.
        context: Tokens of one user; the model's own context by default.
        gpus: GPUs that share weights and cache (tensor parallel), without loss.
        kv_bytes: Bytes a number in the cache: 2 for bf16, 1 for fp8.
        weight_bytes: Bytes a weight.
        streaming: Share of the KV heads that keep only sink and recent tokens, from 0 to 1.
        host_memory: Bytes of the host that hold caches of users who wait.

    Raises:
        UsageError: an unknown GPU, or figures that make no sense.
    """
    if gpu_name not in GPUS:
        raise UsageError(f"unknown GPU {gpu_name!r}", hint=f"Choose one of: {', '.join(GPUS)}.")
    tokens = context or model.context
    if tokens < 1 or gpus < 1 or not 0 <= streaming <= 1 or not 0 <= host_memory < 1e15:
        raise UsageError("context and GPUs must be positive, memory too, the share of streaming heads from 0 to 1")
    gpu = GPUS[gpu_name]
    kept = model.layer_tokens(streaming * min(tokens, SINK + RECENT) + (1 - streaming) * tokens)
    per_user = 2 * model.kv_heads * model.head_dim * kv_bytes * kept
    weights = model.params * weight_bytes
    room = MEMORY_SHARE * gpu.memory * gpus - weights
    attention = 2 * model.heads * model.head_dim * tokens * kept
    flops = 2 * model.params * tokens + attention
    return Capacity(
        model=name,
        gpu=gpu_name,
        gpus=gpus,
        context=tokens,
        kv_bytes_per_token=kv_bytes_per_token(model, kv_bytes),
        weights_bytes=weights,
        kv_bytes_per_user=per_user,
        users=max(0, int(room // per_user)),
        parked=int(host_memory // per_user),
        prefill_seconds=flops / (gpu.flops * gpus * UTILISATION),
        decode_seconds_per_token=(weights + per_user) / (gpu.bandwidth * gpus),
        switch_seconds=per_user / (gpu.bus * gpus),
        fits_context=tokens <= model.longest,
        note=model.note,
    )


def variants(model: Architecture) -> dict[str, tuple[Architecture, dict[str, Any]]]:
    """The same model with a smaller (or larger) cache: by bits, by heads, by layers; with arguments for `capacity`."""
    others: dict[str, tuple[Architecture, dict[str, Any]]] = {
        "cache in 8 bits": (model, {"kv_bytes": 1.0}),
        "half of the KV heads streaming": (model, {"streaming": 0.5}),
    }
    if model.full_layers is None:
        quarter = -(-model.layers // 4)
        hybrid = model.model_copy(update={"full_layers": quarter, "window": _HYBRID_WINDOW})
        others[f"hybrid: {quarter} of {model.layers} layers full"] = (hybrid, {})
    if model.kv_heads < model.heads:
        others["without grouped queries"] = (model.model_copy(update={"kv_heads": model.heads}), {})
    elif model.heads % _GROUP == 0:
        grouped = model.model_copy(update={"kv_heads": model.heads // _GROUP})
        others[f"queries in groups of {_GROUP}"] = (grouped, {})
    return others


def preset(name: str) -> Architecture | None:
    """A model that comes with the package, by its full name or what follows the slash; None if it is not known."""
    known = known_models()
    matches = [key for key in known if name.lower() in (key.lower(), key.rpartition("/")[2].lower())]
    return known[matches[0]] if matches else None


def architecture_of(name: str) -> Architecture:
    """The architecture of a known model, as `preset` finds it, or of a folder with config.json.

    Raises:
        UsageError: neither known nor such a folder.
    """
    folder = Path(name)
    if (folder / "config.json").is_file():
        return _from_config(folder / "config.json")
    if (found := preset(name)) is None:
        raise UsageError(
            f"{name!r} is no known model and no folder with a config.json",
            hint=f"Known are: {', '.join(known_models())}.",
        )
    return found


def known_models() -> dict[str, Architecture]:
    """The models whose figures come with the package."""
    text = files("coa.serving.vllm").joinpath("models.toml").read_text("utf-8")
    return {name: Architecture.model_validate(fields) for name, fields in tomllib.loads(text).items()}


def _from_config(path: Path) -> Architecture:
    try:
        config = cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
        heads = int(config["num_attention_heads"])
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        kv_heads, inner = int(config.get("num_key_value_heads") or heads), int(config["intermediate_size"])
        head_dim = int(config.get("head_dim") or hidden // heads)
        vocabulary = int(config["vocab_size"])
        attention = hidden * head_dim * (2 * heads + 2 * kv_heads)
        embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
        found = Architecture(
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            params=layers * (attention + 3 * hidden * inner) + embeddings,
            context=int(config["max_position_embeddings"]),
            note="Parameters counted from the configuration, for a dense Llama-like model.",
        )
        return found.model_copy(update=_hybrid(config))
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise UsageError(
            f"{str(path)!r} does not describe a dense model", hint="It needs the fields of a Llama or Qwen model."
        ) from error


def _hybrid(config: dict[str, Any]) -> dict[str, int]:
    """Layers with full attention and the window of the others, where the configuration names kinds of layers."""
    kinds = config.get("layer_types")
    if not isinstance(kinds, list) or not kinds:
        return {}
    named = cast("list[object]", kinds)
    sliding = int(config.get("sliding_window") or 0) if "sliding_attention" in named else 0
    return {"full_layers": named.count("full_attention"), "window": sliding}
