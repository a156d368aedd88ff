"""A model in a folder, run by transformers: the reference of all scorers. Needs torch and transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coa.attribution.base import Coalition, Kind
from coa.attribution.prompting import Prompting
from coa.errors import MissingExtra, UsageError
from coa.serving.base import Message
from coa.serving.echo import plain_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_TOKENS = 16_384
ANSWER_TOKENS = 96


class LocalScorer:
    """log p(answer | segments), token by token, in batches padded on the left.

    Of the logits, only the answer's rows are made.

    Args:
        folder: Of a causal language model with its tokenizer.
        prompting: Renders the prompts.
        answer: The text to be scored, special tokens not added.
    """

    kind: Kind = "logprobs"

    def __init__(self, folder: str | Path, prompting: Prompting, answer: str) -> None:
        self._folder, self._prompting, self._answer = str(folder), prompting, answer
        self.label = self.label_of(folder)

    @staticmethod
    def label_of(folder: str | Path) -> str:
        """The model, for people: the name of the folder alone."""
        return f"hf:{Path(folder).name}"

    @property
    def offsets(self) -> Sequence[int]:
        """Where each scored token begins in the answer."""
        return self._encoded[1]

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """One array of shape ``(tokens,)`` a coalition."""
        return await asyncio.to_thread(self._scored, coalitions)

    async def answered(self, coalition: Coalition) -> str:
        """The model's own answer, decoded greedily, up to its first line break."""
        return await asyncio.to_thread(self._generated, coalition)

    def _generated(self, coalition: Coalition) -> str:
        torch: Any = import_module("torch")
        ids = torch.tensor([self._ids(self._prompting.messages(coalition))])
        with torch.inference_mode():
            longer = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=ANSWER_TOKENS, do_sample=False
            )
        text = self._tokenizer.decode(longer[0, ids.shape[1] :], skip_special_tokens=True)
        return text.strip().partition("\n")[0]

    def _scored(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        answer = self._encoded[0]
        prompts = [self._ids(self._prompting.messages(each)) for each in coalitions]
        rows: list[NDArray[np.float64]] = [None] * len(prompts)  # type: ignore[list-item]
        for batch in self._batches(prompts):
            for index, row in zip(batch, self._forward([prompts[i] + answer for i in batch], len(answer)), strict=True):
                rows[index] = row
        return rows

    def _batches(self, prompts: Sequence[list[int]]) -> list[list[int]]:
        """Prompts of like length together, no batch larger than ``_BATCH_TOKENS`` with its padding."""
        batches: list[list[int]] = []
        for index in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
            if batches and len(prompts[batches[-1][0]]) * (len(batches[-1]) + 1) <= _BATCH_TOKENS:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches

    def _forward(self, sequences: Sequence[list[int]], answer: int) -> list[NDArray[np.float64]]:
        torch: Any = import_module("torch")
        longest = max(map(len, sequences))
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, longest - len(sequence) :] = torch.tensor(sequence)
            mask[row, longest - len(sequence) :] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            logits = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=answer + 1
            ).logits
        chances = torch.log_softmax(logits[:, :-1].float(), dim=-1)
        picked = chances.gather(-1, ids[:, -answer:, None]).squeeze(-1)
        return list(picked.double().numpy())

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        """The prompt as the model was meant to see it: in its chat template where it has one, else as plain text."""
        if self._tokenizer.chat_template is None:
            return self._tokenizer(plain_text(messages))["input_ids"]
        turns = [{"role": message.role, "content": message.content} for message in messages]
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    @cached_property
    def _encoded(self) -> tuple[list[int], tuple[int, ...]]:
        lead = "" if self._tokenizer.chat_template is not None else " "
        encoded = self._tokenizer(lead + self._answer, add_special_tokens=False, return_offsets_mapping=True)
        return list(encoded["input_ids"]), tuple(max(0, start - len(lead)) for start, _ in encoded["offset_mapping"])

    @cached_property
    def _tokenizer(self) -> Any:
        return self._loaded("AutoTokenizer")

    @cached_property
    def _model(self) -> Any:
        return self._loaded("AutoModelForCausalLM").eval()

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
