"""`ReaderModel`: the reader as a model of this project, computed here by transformers: no server needed."""

from __future__ import annotations

import asyncio
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from coa.errors import ContextOverflow
from coa.serving.base import Message, Reply, Request
from coa.serving.chat import sendable
from coa.testing.reader import folder, load
from coa.testing.reader.prompting import segments
from coa.tokens import HuggingFaceCounter, TokenCounter

WINDOW = 8192


class ReaderModel:
    """The trained reader; greedy whatever the temperature, one request at a time.

    Args:
        where: The folder of a reader that you trained; default is the one that is shipped.
        window: Prompt and reply together, in tokens; smaller than the reader's own to test what does not fit.
    """

    def __init__(self, where: Path | None = None, *, window: int = WINDOW) -> None:
        self.name = "reader:" + (where.name if where else "own")
        self.window = window
        self._where = where or folder()
        self.counter: TokenCounter = HuggingFaceCounter(self._where)
        self._one_at_a_time = asyncio.Lock()

    async def complete(self, request: Request) -> Reply:
        """Read and answer.

        Raises:
            ContextOverflow: prompt and reply do not fit into the window.
            MissingExtra: torch or transformers is not installed.
            CorruptFile: see `coa.testing.reader.load`.
        """
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._answer, request)

    async def close(self) -> None:
        """Nothing to release."""

    def _answer(self, request: Request) -> Reply:
        torch: Any = import_module("torch")
        ids = self._ids(request.messages)
        if len(ids) + request.max_tokens > self.window:
            raise ContextOverflow("prompt and reply exceed the reader's window", limit=self.window, actual=len(ids))
        model, tokenizer = self._loaded
        asked = torch.tensor([ids])
        with torch.inference_mode():
            made = model.generate(
                asked, attention_mask=torch.ones_like(asked), max_new_tokens=request.max_tokens, do_sample=False
            )
        said: list[int] = made[0, len(ids) :].tolist()
        return Reply(
            text=str(tokenizer.decode(said, skip_special_tokens=True)).strip(),
            finish="stop" if said and said[-1] == model.config.eos_token_id else "length",
            model=self.name,
            prompt_tokens=len(ids),
            completion_tokens=len(said),
        )

    def _ids(self, messages: tuple[Message, ...]) -> list[int]:
        """What the chat template gives, but for special tokens in a text, which are text."""
        _, tokenizer = self._loaded
        ids: list[int] = [tokenizer.bos_token_id]
        for number, text in enumerate(segments(messages)):
            ids += [tokenizer.eos_token_id] if number else []
            ids += tokenizer(sendable(text), add_special_tokens=False).input_ids
        return ids

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, tokenizer = load(self._where)
        tokenizer.backend_tokenizer.encode_special_tokens = True
        return model, tokenizer
