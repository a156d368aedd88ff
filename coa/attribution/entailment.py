"""Who says that a passage supports a statement: NLI models of transformers, a language model as judge.

Each is an ``entails(premise, hypothesis)`` for `coa.attribution.metrics`; the word proxy there needs no model at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from coa.agents.fence import Fence
from coa.attribution.scorers import Call
from coa.errors import MissingExtra, UsageError
from coa.prompts import Prompts
from coa.runtime.together import together
from coa.serving.base import Message, Request

Pair = tuple[str, str]
"""A premise and a hypothesis."""

_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)
_LONGEST_REPLY = 512
_SHARED_WORDS = 32


class NliModel:
    """A sequence classifier with a class for entailment, such as ``tasksource/deberta-base-long-nli`` (L-CiteEval).

    A premise longer than the model reads is given in overlapping stretches; one that entails is enough.

    Args:
        folder: Of the model with its tokenizer, or its name.
        window: Tokens of premise and hypothesis together; by default what the model takes.

    Raises:
        MissingExtra: transformers or torch is not installed.
        UsageError: there is no such model, or none of its classes is entailment.
    """

    def __init__(self, folder: str | Path, *, window: int | None = None) -> None:
        self._folder = str(folder)
        self._tokenizer, self._model = _loaded(self._folder, "AutoModelForSequenceClassification")
        self._window = window or _window(self._model, self._tokenizer)
        self._class = self._entailment
        self._known: dict[Pair, bool] = {}

    def __call__(self, premise: str, hypothesis: str) -> bool:
        """Whether entailment is the likeliest class, for the premise or a stretch of it."""
        pair = (premise, hypothesis)
        if pair not in self._known:
            self._known[pair] = any(
                max(range(len(row)), key=row.__getitem__) == self._class for row in self.scores(premise, hypothesis)
            )
        return self._known[pair]

    def scores(self, premise: str, hypothesis: str) -> list[list[float]]:
        """The classes' logits for each stretch of the premise: shape ``(stretches, classes)``."""
        torch: Any = import_module("torch")
        encoded = self._tokenizer(
            premise,
            hypothesis,
            truncation="only_first",
            max_length=self._window,
            stride=min(_SHARED_WORDS, self._window // 4),
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        encoded.pop("overflow_to_sample_mapping", None)
        with torch.inference_mode():
            return self._model(**encoded).logits.float().tolist()

    @property
    def _entailment(self) -> int:
        labels: Mapping[int, str] = self._model.config.id2label
        for index, label in labels.items():
            if re.match(r"entail", label, re.IGNORECASE):
                return int(index)
        raise UsageError(
            f"none of the classes of {self._folder!r} is entailment: {', '.join(labels.values())}",
            hint="Name a model for natural language inference.",
        )


class TrueModel:
    """ALCE's NLI model, ``google/t5_xxl_true_nli_mixture``, or another that writes ``1`` where a premise entails.

    Args:
        folder: Of a sequence-to-sequence model with its tokenizer, or its name.

    Raises:
        MissingExtra: transformers or torch is not installed.
        UsageError: there is no such model.
    """

    def __init__(self, folder: str | Path) -> None:
        self._tokenizer, self._model = _loaded(str(folder), "AutoModelForSeq2SeqLM")
        self._known: dict[Pair, bool] = {}

    def __call__(self, premise: str, hypothesis: str) -> bool:
        """Whether the model writes ``1`` behind ``premise: ... hypothesis: ...``."""
        pair = (premise, hypothesis)
        if pair not in self._known:
            torch: Any = import_module("torch")
            ids = self._tokenizer(f"premise: {premise} hypothesis: {hypothesis}", return_tensors="pt").input_ids
            with torch.inference_mode():
                written = self._model.generate(ids, max_new_tokens=10, do_sample=False)
            self._known[pair] = self._tokenizer.decode(written[0], skip_special_tokens=True).strip() == "1"
        return self._known[pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """What a judge said about pairs: an ``entails`` for the metrics.

    Attributes:
        verdicts: For each pair; a reply without a verdict counts as no.
        unclear: Replies without a verdict.
    """

    verdicts: Mapping[Pair, bool]
    unclear: int = 0

    def __call__(self, premise: str, hypothesis: str) -> bool:
        """The verdict on a pair.

        Raises:
            UsageError: the judge was not asked about it.
        """
        try:
            return self.verdicts[premise, hypothesis]
        except KeyError:
            raise UsageError(
                f"nobody judged whether the passages support {hypothesis!r}",
                hint="Judge the pairs of coa.attribution.metrics.pairs_to_judge for the same answer and mode.",
            ) from None


async def judge(pairs: Iterable[Pair], call: Call, *, prompts: Prompts | None = None) -> Judgements:
    """Ask a language model about all pairs, side by side and each once.

    Args:
        pairs: See `coa.attribution.metrics.pairs_to_judge`.
        call: Sends a request, such as a model's ``complete``.
        prompts: Other wordings of ``judge_entails``.

    Raises:
        ModelError: a call failed for good.
    """
    prompt = (prompts or Prompts())["judge_entails"]
    asked = list(dict.fromkeys(pairs))
    fences = [_fence(pair) for pair in asked]
    replies = await together(
        _said(call, prompt.render(premise=premise, claim=claim, open=fence.open, close=fence.close))
        for (premise, claim), fence in zip(asked, fences, strict=True)
    )
    found = [_VERDICT.search(_THINKING.sub("", reply)) for reply in replies]
    return Judgements(
        verdicts={
            pair: match is not None and match[1].lower() == "yes" for pair, match in zip(asked, found, strict=True)
        },
        unclear=sum(match is None for match in found),
    )


async def _said(call: Call, content: str) -> str:
    request = Request(messages=(Message(role="user", content=content),), role="judge", max_tokens=_LONGEST_REPLY)
    return (await call(request)).text


def _fence(pair: Pair) -> Fence:
    """A fence that follows from the pair and does not stand in it."""
    salt = 0
    while True:
        token = hashlib.sha256(f"{salt}\n{pair}".encode()).hexdigest()[:16]
        if not any(token in text for text in pair):
            return Fence(token=token, tag="jdg")
        salt += 1


def _window(model: Any, tokenizer: Any) -> int:
    """Tokens that a classifier takes; tokenizers without a limit name an enormous one."""
    return min(int(getattr(model.config, "max_position_embeddings", 512) or 512), int(tokenizer.model_max_length))


def _loaded(folder: str, kind: str) -> tuple[Any, Any]:
    if find_spec("transformers") is None or find_spec("torch") is None:
        raise MissingExtra("an NLI model needs torch and transformers", hint="pip install 'chain-of-agents[reader]'")
    transformers: Any = import_module("transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        return tokenizer, getattr(transformers, kind).from_pretrained(folder).eval()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder!r} holds no model that transformers can load", hint="Name a folder or a model's name on the hub."
        ) from error
