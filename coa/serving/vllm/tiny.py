"""A tiny Llama with random weights and a tokenizer of its own: it proves that a server runs; what it says is noise."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from coa.errors import MissingExtra

LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 4, 4, 2, 32, 1024
WIDTH, INNER = HEADS * HEAD_DIM, 256
WINDOW = 8192

_LOUD_END = 2.6
"""How much stronger the end of a reply speaks than other pieces: replies end after about ten of them."""

_SPECIAL = ("<|pad|>", "<|bos|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make(folder: Path, *, seed: int = 0) -> Path:
    """Write the model into ``folder``, as transformers and vLLM read it: 0.8 million parameters, 3 MB.

    Args:
        folder: Made if it is not there.
        seed: Of the weights; the tokenizer, learned from this package's own prompts, is the same every time.

    Raises:
        MissingExtra: tokenizers or safetensors is not installed.
    """
    try:
        tokenizers: Any = import_module("tokenizers")
        save_file: Any = import_module("safetensors.numpy").save_file
    except ImportError:
        raise MissingExtra(
            "a tiny model needs tokenizers and safetensors", hint="pip install 'chain-of-agents[reader]'"
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(tokenizers).save(str(folder / "tokenizer.json"))
    save_file(_weights(np.random.default_rng(seed)), str(folder / "model.safetensors"), metadata={"format": "pt"})
    for name, content in _settings().items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    # The second head of each layer streams: made up, like the weights, so that every profile can be tried.
    (folder / "full_attention_heads.tsv").write_text("1.0\t0.0\n" * LAYERS, encoding="utf-8")
    return folder


def _tokenizer(tokenizers: Any) -> Any:
    made: Any = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer: Any = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    prompts = sorted(
        (item for item in files("coa.prompts").iterdir() if item.name.endswith(".md")), key=lambda i: i.name
    )
    made.train_from_iterator([prompt.read_text("utf-8") for prompt in prompts], trainer)
    return made


def _weights(draw: np.random.Generator) -> dict[str, Any]:
    def matrix(rows: int, columns: int) -> Any:
        return (draw.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    pieces = matrix(VOCABULARY, WIDTH)
    pieces[_SPECIAL.index("<|im_end|>")] *= _LOUD_END
    weights: dict[str, Any] = {"model.embed_tokens.weight": pieces, "model.norm.weight": ones}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        weights |= {
            f"{at}input_layernorm.weight": ones.copy(),
            f"{at}post_attention_layernorm.weight": ones.copy(),
            # Strong queries: attention that prefers some keys, so that skipping others shows.
            f"{at}self_attn.q_proj.weight": matrix(WIDTH, WIDTH) * 2,
            f"{at}self_attn.k_proj.weight": matrix(KV_HEADS * HEAD_DIM, WIDTH),
            f"{at}self_attn.v_proj.weight": matrix(KV_HEADS * HEAD_DIM, WIDTH),
            f"{at}self_attn.o_proj.weight": matrix(WIDTH, WIDTH),
            f"{at}mlp.gate_proj.weight": matrix(INNER, WIDTH),
            f"{at}mlp.up_proj.weight": matrix(INNER, WIDTH),
            f"{at}mlp.down_proj.weight": matrix(WIDTH, INNER),
        }
    return weights


def _settings() -> dict[str, dict[str, Any]]:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": WINDOW,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "bos_token_id": 1,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _SPECIAL[1],
        "eos_token": _SPECIAL[3],
        "pad_token": _SPECIAL[0],
        "model_max_length": WINDOW,
        "clean_up_tokenization_spaces": False,
        "chat_template": _TEMPLATE,
    }
    generation = {"bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
    return {"config.json": config, "tokenizer_config.json": tokenizer, "generation_config.json": generation}
