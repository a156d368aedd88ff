"""The reader at work: greedy answers and log-probabilities of many prompts at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_TOKENS_AT_ONCE = {"cuda": 131_072, "cpu": 16_384}


@dataclass(frozen=True, slots=True)
class Reading:
    """The reader with its tokenizer, as `coa.testing.reader.load` gives them."""

    model: Any
    tokenizer: Any

    def answers(self, prompts: Sequence[str], tokens: int = 48) -> list[str]:
        """The most likely answer to each prompt, to its end or to so many tokens; in the order of the prompts."""
        asked = [self.tokenizer(prompt).input_ids for prompt in prompts]
        found = [""] * len(prompts)
        for batch in self._batches([len(ids) + tokens for ids in asked]):
            for index, text in zip(batch, self._generated([asked[i] for i in batch], tokens), strict=True):
                found[index] = text
        return found

    @torch.inference_mode()
    def _generated(self, asked: Sequence[list[int]], tokens: int) -> list[str]:
        ids, mask = self._padded(asked)
        made = self.model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False)
        decoded = self.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
        return [str(text).strip() for text in decoded]

    def log_probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural logarithm of the probability of each answer behind its prompt."""
        asked = [self.tokenizer(prompt).input_ids for prompt, _ in pairs]
        said = [self.tokenizer(" " + answer, add_special_tokens=False).input_ids for _, answer in pairs]
        found = [0.0] * len(pairs)
        for batch in self._batches([len(a) + len(b) for a, b in zip(asked, said, strict=True)]):
            for index, value in zip(batch, self._scored([(asked[i], said[i]) for i in batch]), strict=True):
                found[index] = value
        return found

    @torch.inference_mode()
    def _scored(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        ids, mask = self._padded([a + b for a, b in pairs])
        longest = max(len(said) for _, said in pairs)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=longest + 1
        ).logits
        chances = logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, -longest:, None]).squeeze(-1)
        return [float(row[-len(said) :].sum()) for row, (_, said) in zip(chances, pairs, strict=True)]

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Shapes (rows, longest): ids padded in front, and 1 where there is one."""
        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.model.device), mask.to(self.model.device)

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of like length together."""
        limit = _TOKENS_AT_ONCE[self.model.device.type]
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if batch and lengths[batch[0]] * (len(batch) + 1) > limit:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch
