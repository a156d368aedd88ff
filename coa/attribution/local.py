"""A model in a folder, run by transformers: the reference of all scorers. Needs torch and transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from coa.attribution.base import Coalition, Kind
from coa.attribution.prompting import Prompting
from coa.attribution.weights import LocalModel
from coa.serving.base import Message
from coa.serving.echo import plain_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANSWER_TOKENS = 96


class LocalScorer:
    """log p(answer | segments), token by token. Of the logits, only the answer's rows are made.

    Args:
        model: Scores; may be shared by many scorers.
        prompting: Renders the prompts.
        answer: The text to be scored, special tokens not added.
    """

    kind: Kind = "logprobs"

    def __init__(self, model: LocalModel, prompting: Prompting, answer: str) -> None:
        self._model, self._prompting, self._answer = model, prompting, answer
        self.label = f"hf:{model.name}"

    @property
    def offsets(self) -> Sequence[int]:
        """Where each scored token begins in the answer."""
        return self._encoded[1]

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """One array of shape ``(tokens,)`` a coalition."""
        return await asyncio.to_thread(self._scored, coalitions)

    async def answered(self, coalition: Coalition) -> str:
        """The model's own answer, decoded greedily, up to its first line break."""
        prompt = self._ids(self._prompting.messages(coalition))
        text = await asyncio.to_thread(self._model.continued, prompt, ANSWER_TOKENS)
        return text.strip().partition("\n")[0]

    def _scored(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        prompts = [self._ids(self._prompting.messages(each)) for each in coalitions]
        return self._model.scored(prompts, self._encoded[0])

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        """The prompt as the model was meant to see it: in its chat template where it has one, else as plain text."""
        tokenizer = self._model.tokenizer
        if tokenizer.chat_template is None:
            return tokenizer(plain_text(messages))["input_ids"]
        return tokenizer(self._rendered(messages, add_generation_prompt=True), add_special_tokens=False)["input_ids"]

    def _rendered(self, messages: Sequence[Message], **how: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return str(self._model.tokenizer.apply_chat_template(turns, tokenize=False, **how))

    @cached_property
    def _encoded(self) -> tuple[list[int], tuple[int, ...]]:
        lead = self._lead
        encoded = self._model.tokenizer(lead + self._answer, add_special_tokens=False, return_offsets_mapping=True)
        return list(encoded["input_ids"]), tuple(max(0, start - len(lead)) for start, _ in encoded["offset_mapping"])

    @property
    def _lead(self) -> str:
        """The blanks that stand between prompt and answer: a template may write some before a reply."""
        if self._model.tokenizer.chat_template is None:
            return " "
        asked = self._prompting.messages(frozenset())
        before = self._rendered(asked, add_generation_prompt=True)
        whole = self._rendered((*asked, Message(role="assistant", content=self._answer)), continue_final_message=True)
        between = whole.removeprefix(before).partition(self._answer)[0]
        return between if whole.startswith(before) and not between.strip() else ""
