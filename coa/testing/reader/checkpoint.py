"""Save and load the reader as files that transformers and vLLM read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from coa.testing.reader.model import Network, as_llama, llama_config
from coa.testing.reader.prompting import TEMPLATE
from coa.testing.reader.tokenizer import build

WINDOW = 16_384


def save(network: Network, folder: Path) -> None:
    """Write weights, configuration and tokenizer into a folder.

    The weights are rounded to bfloat16, which halves the file; whoever reads them may compute in float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.to("cpu", torch.bfloat16) for name, weight in as_llama(network).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    build().save(str(folder / "tokenizer.json"))
    _write(folder / "config.json", llama_config(network.shape, WINDOW))
    _write(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "model_max_length": WINDOW,
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
    )
    seal(folder)


def seal(folder: Path) -> None:
    """Write down the hashes of the files, so that another reader is never taken for this one."""
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
