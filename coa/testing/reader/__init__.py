"""A small language model of our own that truly reads: real probabilities where nobody's weights are at hand.

`load` gives the trained reader; `documents` and `tasks` make what it reads, `train` trains another, `gates` measures.
Needs the extra ``reader``.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from coa.errors import CorruptFile, MissingExtra

__all__ = ["folder", "load"]


def folder() -> Path:
    """Where the trained reader lies, for anything that loads a model from a folder, such as vLLM."""
    return Path(str(files(__name__).joinpath("weights")))


def load(where: Path | None = None) -> tuple[Any, Any]:
    """The trained reader and its tokenizer, as transformers' ``LlamaForCausalLM`` and ``PreTrainedTokenizerFast``.

    Args:
        where: A reader that you trained; default is the one that is shipped.

    Raises:
        MissingExtra: torch or transformers is not installed.
        CorruptFile: a file is missing, or is not the one that was measured.
        CorruptFile: this version of transformers does not give a text back as it was.
    """
    where = where or folder()
    verify(where)
    try:
        transformers: Any = import_module("transformers")
        import_module("torch")
    except ImportError:
        raise MissingExtra(
            "the reader needs torch and transformers", hint="pip install 'chain-of-agents[reader]'"
        ) from None
    tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype="float32")
    _check_round_trip(tokenizer)
    return model.eval(), tokenizer


def verify(where: Path) -> None:
    """Compare the files with the hashes that were written down when they were measured.

    Raises:
        CorruptFile: a file is missing or is another.
    """
    listed = where / "SHA256SUMS"
    if not listed.is_file():
        raise CorruptFile(f"there is no reader in {where}", hint="Train one: python -m coa.testing.reader.train.")
    for line in listed.read_text(encoding="utf-8").splitlines():
        expected, name = line.split()
        path = where / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise CorruptFile(f"{name} of the reader is damaged or was replaced", hint="Install the package again.")


def _check_round_trip(tokenizer: Any) -> None:
    text = "Kazun lives in Toral.\nQuestion: Where  does Kazun live?"
    if tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) != text:
        raise CorruptFile("transformers mangles the reader's tokenizer", hint="Install another version of it.")
