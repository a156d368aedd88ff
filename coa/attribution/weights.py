"""A model in a folder, loaded once: prompts in, log-probabilities out; what prompts share is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from coa.attribution.prefixes import Fork, forks, shared
from coa.errors import MissingExtra, UsageError
from coa.types import Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PASS_TOKENS = 8
"""What a pass costs beside its tokens, in tokens."""
_GROWING_ROPE = ("dynamic", "longrope")


class LocalModel:
    """A causal language model of transformers, with its tokenizer.

    Rows that begin alike are computed as a trie: a beginning is computed once, its keys and values are kept while rows
    go on from it, and the last beginning is kept for the next call. Held are one row's keys and values beside those of
    one batch.

    Args:
        folder: With ``config.json``, weights and tokenizer.
        reuse: Whether beginnings are computed once; models whose layers do not keep everything never do.
        batch_tokens: Of a batch of several rows, at most; beginnings and padding included.

    Attributes:
        name: The name of the folder alone.
        computed: Tokens that went through the model so far, padding included.
    """

    def __init__(self, folder: str | Path, *, reuse: bool = True, batch_tokens: int = 16_384) -> None:
        self._folder, self._reuse, self._lock = str(folder), reuse, Lock()
        self._batch_tokens = batch_tokens
        self.name = Path(folder).name
        self.computed = self._read = self._rows = 0

    def scored(self, prompts: Sequence[Sequence[int]], answer: Sequence[int]) -> list[NDArray[np.float64]]:
        """Log-probability of each token of ``answer`` behind each prompt, in nats: shape ``(len(answer),)`` each."""
        rows = [[*prompt, *answer] for prompt in prompts]
        found: list[NDArray[np.float64]] = [None] * len(rows)  # type: ignore[list-item]
        torch: Any = import_module("torch")
        with self._lock, torch.inference_mode():
            price = _PASS_TOKENS if self._path.keeps else max(1, sum(map(len, rows)))
            for fork in forks(rows, len(answer) + 1, price):
                held = self._path.start(fork, rows, len(answer) + 1)
                self.computed += self._path.go(rows[fork.rows[0]][:held])
                for batch in _batches(fork.rows, rows, self._batch_tokens):
                    tails = [rows[i][held:] for i in batch]
                    self.computed += len(tails) * max(map(len, tails))
                    for index, row in zip(batch, self._path.ends(tails, len(answer)), strict=True):
                        found[index] = row
        self._rows += len(rows)
        self._read += sum(map(len, rows))
        return found

    @property
    def usage(self) -> Usage:
        """Rows scored and their tokens; *cached* are those that the model was spared, padding taken off."""
        return Usage(
            calls=self._rows,
            prompt_tokens=self._read,
            cached_tokens=max(0, self._read - self.computed),
            cost_usd=0.0,
        )

    def continued(self, prompt: Sequence[int], tokens: int) -> str:
        """What the model writes behind a prompt, decoded greedily."""
        torch: Any = import_module("torch")
        ids = torch.tensor([list(prompt)])
        with self._lock, torch.inference_mode():
            longer = self.module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False
            )
        return str(self.tokenizer.decode(longer[0, ids.shape[1] :], skip_special_tokens=True))

    @cached_property
    def tokenizer(self) -> Any:
        """Of transformers."""
        return self._loaded("AutoTokenizer")

    @cached_property
    def module(self) -> Any:
        """The model itself, of torch."""
        return self._loaded("AutoModelForCausalLM").eval()

    @cached_property
    def _path(self) -> _Path:
        return _Path(self.module, reuse=self._reuse)

    def _loaded(self, kind: str) -> Any:
        if find_spec("transformers") is None or find_spec("torch") is None:
            raise MissingExtra(
                "scoring with a local model needs torch and transformers",
                hint="pip install 'chain-of-agents[embeddings]'",
            )
        # transformers ships no complete types: handled as Any here and nowhere else.
        try:
            return getattr(import_module("transformers"), kind).from_pretrained(self._folder)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self._folder!r} holds no model that transformers can load",
                hint="Give hf:FOLDER, a folder with config.json, weights and tokenizer.",
            ) from error


def _batches(chosen: Sequence[int], rows: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Rows of nearly one length together; several have at most ``most`` tokens, padding and beginning included."""
    batch: list[int] = []
    for index in sorted(chosen, key=lambda i: -len(rows[i])):
        longest = len(rows[batch[0]]) if batch else 0
        if batch and (longest * (len(batch) + 1) > most or longest - len(rows[index]) > _PASS_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    yield batch


class _Path:
    """The keys and values of one row's beginning.

    Attributes:
        keeps: Whether the model's layers let a beginning be kept and cut back.
    """

    def __init__(self, model: Any, *, reuse: bool) -> None:
        self._model = model
        self._name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
        self._kept = self._empty()
        self._ids: list[int] = []
        self.keeps = reuse and _keeps_all(model.config, self._kept)

    def start(self, fork: Fork, rows: Sequence[Sequence[int]], tail: int) -> int:
        """Where the rows of a fork leave their common beginning: later than planned where more of it is still held."""
        free = min(shared(rows[i], self._ids, len(rows[i]) - tail) for i in fork.rows)
        return max(fork.prefix, free)

    def go(self, ids: list[int]) -> int:
        """Hold the keys and values of exactly these tokens; return how many of them had to be computed."""
        torch: Any = import_module("torch")
        common = shared(ids, self._ids, len(ids))
        if not common:
            self._kept = self._empty()
        elif common < len(self._ids):
            self._kept.crop(common - len(self._ids))
        self._ids = ids
        if common < len(ids):
            self._model(
                input_ids=torch.tensor([ids[common:]]), use_cache=True, logits_to_keep=1, **{self._name: self._kept}
            )
        return len(ids) - common

    def ends(self, tails: Sequence[list[int]], answer: int) -> list[NDArray[np.float64]]:
        """Log-probabilities of the last ``answer`` tokens of rows that go on from here; padded behind the beginning."""
        torch: Any = import_module("torch")
        longest, held = max(map(len, tails)), len(self._ids)
        ids = torch.tensor([[0] * (longest - len(tail)) + tail for tail in tails])
        mask = torch.tensor([[1] * held + [0] * (longest - len(tail)) + [1] * len(tail) for tail in tails])
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, held:]
        logits = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            logits_to_keep=answer + 1,
            **self._copies(len(tails)),
        ).logits
        chances = torch.log_softmax(logits[:, :-1].float(), dim=-1)
        return list(chances.gather(-1, ids[:, -answer:, None]).squeeze(-1).double().numpy())

    def _copies(self, rows: int) -> dict[str, Any]:
        if not self._ids:
            return {"use_cache": False}
        copies = deepcopy(self._kept)
        copies.batch_repeat_interleave(rows)
        return {"use_cache": True, self._name: copies}

    def _empty(self) -> Any:
        return import_module("transformers").DynamicCache(config=self._model.config)


def _keeps_all(config: Any, cache: Any) -> bool:
    """Layers that forget, as sliding windows and recurrent states do, cannot be cut back to a shorter beginning.

    Neither can positions be kept whose angles depend on the length of the whole row.
    """
    rope: Any = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = {type(layer).__name__ for layer in cache.layers}
    return kinds <= {"DynamicLayer"} and rope.get("rope_type") not in _GROWING_ROPE
