"""A task that needs far context and no training: a number hidden in filler, asked for at the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_FILLER = (
    "The tram went by and nobody looked up.",
    "A kettle was put on, and later taken off again.",
    "Rain fell on the roofs until the gutters ran over.",
    "The clerk counted the envelopes twice and locked the drawer.",
    "Somebody had left a window open on the second floor.",
)


@dataclass(frozen=True, slots=True)
class Passkey:
    """Tokens of a prompt with its answer, (1, tokens), the last ``answer`` of which are the answer's."""

    ids: Tensor
    answer: int


def passkeys(tokenizer: Any, *, n: int, tokens: int, seed: int = 0) -> list[Passkey]:
    """So many prompts of about that length; each number stands in the first half, far from the question.

    Args:
        tokenizer: Of transformers.
        n: Prompts.
        tokens: Length of each, a little more or less.
        seed: Of numbers and places.
    """
    draw = random.Random(seed)
    made: list[Passkey] = []
    for _ in range(n):
        number = str(draw.randrange(10_000, 100_000))
        filler = [draw.choice(_FILLER) for _ in range(max(8, tokens // 10))]
        filler.insert(draw.randrange(2, max(3, len(filler) // 2)), f"The pass key is {number}. Remember it.")
        prompt = tokenizer(f"{' '.join(filler)}\nWhat is the pass key? The pass key is").input_ids
        answer = tokenizer(f" {number}", add_special_tokens=False).input_ids
        made.append(Passkey(torch.tensor([[*prompt, *answer]]), len(answer)))
    return made


def loss_over(model: Any, prompts: list[Passkey]) -> Callable[[], float]:
    """Nats an answer, on average, each time it is called."""

    @torch.inference_mode()
    def loss() -> float:
        total = 0.0
        for prompt in prompts:
            ids = prompt.ids.to(model.device)
            logits = model(ids, use_cache=False).logits[0, -prompt.answer - 1 : -1].float()
            total -= float(logits.log_softmax(-1).gather(-1, ids[0, -prompt.answer :, None]).sum())
        return total / len(prompts)

    return loss
