"""A sentence-transformers model, opened: ids in, states or pooled vectors out, with positions of one's own.

torch and sentence-transformers ship no complete types: they are handled as Any here and nowhere else of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, cast

from coa.errors import UsageError
from coa.retrieval.longembed import positions as at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["absolute", "rope", "other"]
_PROBE = "a"


class LongModel:
    """The parts of a model that long texts need. It is changed only inside `positioned`, and put back afterwards."""

    def __init__(self, model: Any, native: int | None = None) -> None:
        self._model = model
        self.native = int(native or model.max_seq_length)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def room(self) -> int:
        """Tokens of text in a native window, beside those that the model adds."""
        before, behind = self.special
        return self.native - len(before) - len(behind)

    @cached_property
    def kind(self) -> Kind:
        """How it knows where a token stands."""
        if "position_ids" not in self._accepted:
            return "other"
        if self._table is not None:
            return "absolute"
        return "rope" if self._rotaries else "other"

    @cached_property
    def special(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and behind a text."""
        bare, full = self.ids(_PROBE), self._tokenized(_PROBE, add_special_tokens=True)["input_ids"]
        start = next(i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare)
        return full[:start], full[start + len(bare) :]

    def ids(self, text: str) -> list[int]:
        """All tokens of a text, none cut off."""
        return self._tokenized(text, add_special_tokens=False)["input_ids"]

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """All tokens, and where in the text each stands."""
        found = self._tokenized(text, add_special_tokens=False, return_offsets_mapping=True)
        return found["input_ids"], [(int(start), int(end)) for start, end in found["offset_mapping"]]

    def wrapped(self, ids: Sequence[int]) -> list[int]:
        """Ids with what the tokenizer puts around them."""
        before, behind = self.special
        return [*before, *ids, *behind]

    def vectors(self, batch: Sequence[Sequence[int]], place: Any = None) -> NDArray[np.float32]:
        """Pooled vectors of wrapped ids, not normalised, shape ``(len(batch), dimensions)``.

        Args:
            batch: Padded to the longest.
            place: Positions, shape ``(longest,)``; None leaves them to the model.
        """
        torch = import_module("torch")
        with torch.no_grad():
            features = self._run(batch, place)
            for module in self._heads():
                features = module(features)
            found = features["sentence_embedding"]
        return cast("NDArray[np.float32]", found.float().numpy())

    def states(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The state of each token of one window of wrapped ids, shape ``(len(ids), width)``."""
        torch = import_module("torch")
        with torch.no_grad():
            return cast("NDArray[np.float32]", self._run([ids], None)["token_embeddings"][0].float().numpy())

    def projected(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled states through whatever stands behind the model's pooling, not normalised."""
        torch = import_module("torch")
        with torch.no_grad():
            features = {"sentence_embedding": torch.from_numpy(pooled)}
            for module in self._heads()[1:]:
                features = module(features)
            return cast("NDArray[np.float32]", features["sentence_embedding"].float().numpy())

    @contextmanager
    def rows(self, n: int, s: int) -> Generator[None]:
        """Learned positions interpolated to ``n`` rows, until the block ends."""
        torch = import_module("torch")
        embeddings, before = self._embeddings, self._table
        first = self.offset
        table = before.weight.detach().numpy()
        made = torch.from_numpy(at.interpolated_rows(table[first : first + self.native], n, s))
        stretched = torch.nn.Embedding.from_pretrained(torch.cat([before.weight[:first].detach(), made]))
        embeddings.position_embeddings = stretched
        try:
            yield
        finally:
            embeddings.position_embeddings = before

    @contextmanager
    def frequencies(self, factor: float) -> Generator[None]:
        """RoPE with a larger base, until the block ends."""
        torch = import_module("torch")
        before = [(module, module.inv_freq) for module in self._rotaries]
        for module, known in before:
            module.inv_freq = torch.from_numpy(at.ntk_frequencies(known.float().numpy(), factor))
        try:
            yield
        finally:
            for module, known in before:
                module.inv_freq = known

    @contextmanager
    def attention(self, factors: Sequence[float], grouping: tuple[int, int] | None = None) -> Generator[None]:
        """Queries multiplied by a factor for each text of a batch; with ``(group, window)`` SelfExtend's distances."""
        # Loaded here, for it is torch from its first line on.
        extended: Any = import_module("coa.retrieval.longembed.attention").extended
        frequencies = self._rotaries[0].inv_freq if self._rotaries else None
        with extended(self._encoder, factors, grouping, frequencies):
            yield

    @property
    def offset(self) -> int:
        """The number of the first position; RoBERTa and its kin leave some free."""
        padding = None if self._table is None else self._table.padding_idx
        return 0 if padding is None else int(padding) + 1

    def need(self, *kinds: Kind, method: str) -> None:
        """Refuse a model of another kind.

        Raises:
            UsageError: the method does not go with this model's positions.
        """
        if self.kind not in kinds:
            known = {"absolute": "learned positions", "rope": "rotary positions (RoPE)", "other": "other positions"}
            raise UsageError(
                f"{method} is not for a model with {known[self.kind]}",
                hint="Parallel windows (+pcw) go with any model.",
            )

    def _run(self, batch: Sequence[Sequence[int]], place: Any) -> dict[str, Any]:
        torch = import_module("torch")
        longest = max(map(len, batch))
        padding = int(self._model.tokenizer.pad_token_id or 0)
        ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._accepted:
            given["token_type_ids"] = torch.zeros_like(ids)
        if place is not None:
            given["position_ids"] = torch.as_tensor(place).unsqueeze(0).expand(len(batch), -1)
        states = self._encoder(**given).last_hidden_state
        return {"token_embeddings": states, "attention_mask": mask, "input_ids": ids}

    def _heads(self) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
        """The modules behind the encoder but for those that normalise: that is done last, by whoever asks."""
        return [module for module in list(self._model.children())[1:] if type(module).__name__ != "Normalize"]

    def _tokenized(self, text: str, **options: Any) -> dict[str, Any]:
        return self._model.tokenizer(text, truncation=False, verbose=False, **options)

    @cached_property
    def _encoder(self) -> Any:
        # Version 6 of sentence-transformers renamed it.
        first = self._model[0]
        return first.model if "model" in dir(first) else first.auto_model

    @cached_property
    def _accepted(self) -> frozenset[str]:
        return frozenset(signature(self._encoder.forward).parameters)

    @property
    def _embeddings(self) -> Any:
        return getattr(self._encoder, "embeddings", None)

    @property
    def _table(self) -> Any:
        return getattr(self._embeddings, "position_embeddings", None)

    @cached_property
    def _rotaries(self) -> list[Any]:
        return [module for module in self._encoder.modules() if "inv_freq" in dict(module.named_buffers(recurse=False))]
