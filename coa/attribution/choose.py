"""Which scorer a trace uses: what was asked for, or the most exact one that the model's server can carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from coa.agents.replies import usable
from coa.attribution.base import Coalition, Kind, Scorer
from coa.attribution.forensics import Answering
from coa.attribution.local import LocalScorer
from coa.attribution.probe import ProbeScorer
from coa.attribution.prompting import Prompting
from coa.attribution.scorers import ANSWER_TOKENS, EchoScorer, RegenerateScorer
from coa.attribution.weights import LocalModel
from coa.config import Settings
from coa.errors import MalformedReply, RequestRejected, UsageError
from coa.events import Emit
from coa.runtime.caller import Caller, caller_for
from coa.runtime.journal import Journal
from coa.serving.base import Model, Request, is_offline
from coa.serving.echo import EchoModel
from coa.serving.openai import OPENAI_URL, OpenAIModel
from coa.serving.probe import ProbeModel
from coa.serving.scoring import ScoringModel
from coa.types import Usage

SCORERS = ("auto", "logprobs", "completions", "ptrue", "regenerate", "support")
_EXACT = ("logprobs", "completions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A text that a model once wrote, the prompt that it wrote it from, and the stretches of it to be explained."""

    prompting: Prompting
    answer: str
    claims: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way of scoring: makes the scorer of any text, and knows who was paid for it.

    Attributes:
        make: The scorer of a text.
        callers: Every caller that was used, those of attempts that failed included.
        answering: Answers the question of a text again, with only some of the segments in sight.
        warnings: What had to be said about the choice.
        local: The model in this process, where there is one.
    """

    kind: Kind
    label: str
    make: Callable[[Scored], Scorer]
    callers: tuple[Caller, ...]
    answering: Callable[[Scored], Answering]
    warnings: tuple[str, ...] = ()
    local: LocalModel | None = None

    @property
    def usage(self) -> Usage:
        """What was paid; of a local model, what was computed."""
        return added([*(caller.usage for caller in self.callers), *([self.local.usage] if self.local else [])])


def supports_only(wanted: str, model: Model) -> bool:
    """Whether there is no language model to ask: wording is compared instead."""
    return wanted == "support" or (wanted == "auto" and is_offline(model.name))


async def choose_way(
    wanted: str, model: Model, settings: Settings, journal: Journal, emit: Emit, *, first: Scored
) -> Way:
    """The way that was asked for; ``auto`` takes log-probabilities where the server gives them.

    Args:
        wanted: One of ``SCORERS``, or ``hf:FOLDER``.
        model: The model that scores.
        settings: Its limits.
        journal: Keeps what was scored.
        emit: Told of calls.
        first: Something to try the server with.

    Raises:
        UsageError: the model cannot be scored in the way that was asked for.
        ModelError: log-probabilities were asked for and the server gives none.
    """
    if wanted.startswith("hf:"):
        return _local(wanted.removeprefix("hf:"), model)
    doors = _Doors(model=model, settings=settings, journal=journal, emit=emit)
    if wanted == "regenerate" or (wanted == "auto" and not _may_echo(model)):
        return doors.regenerate()
    if not isinstance(model, OpenAIModel):
        raise UsageError(f"{model.name} gives no log-probabilities", hint="Use --scorer regenerate.")
    if wanted == "ptrue":
        return doors.probe(model)
    ways = [doors.chat(model)] if wanted != "completions" else []
    return await _first_that_works([*ways, doors.completions(model)], wanted, doors, first)


async def _first_that_works(ways: Sequence[Way], wanted: str, doors: _Doors, first: Scored) -> Way:
    tried: tuple[Caller, ...] = ()
    for way in ways:
        tried += way.callers
        try:
            await way.make(first).logprobs([frozenset()])
        except (RequestRejected, MalformedReply):
            if wanted in _EXACT and way is ways[-1]:
                raise
            continue
        return replace(way, callers=tried)
    told = f"{doors.model.name} gives no log-probabilities: the answer is asked for again and compared"
    again = doors.regenerate()
    return replace(again, callers=(*tried, *again.callers), warnings=(told,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doors:
    """Makes ways over one model."""

    model: Model
    settings: Settings
    journal: Journal
    emit: Emit

    def caller(self, model: Model) -> Caller:
        return caller_for((model,), self.settings, self.journal, self.emit)

    def regenerate(self) -> Way:
        caller, name = self.caller(self.model), self.model.name

        def make(scored: Scored) -> Scorer:
            return RegenerateScorer(caller, scored.prompting, scored.answer, scored.claims, label=name)

        return Way(kind="regenerate", label=name, make=make, callers=(caller,), answering=_by_asking(caller))

    def probe(self, model: OpenAIModel) -> Way:
        asked = ProbeModel(model)
        caller, again = self.caller(asked), self.caller(self.model)

        def make(scored: Scored) -> Scorer:
            return ProbeScorer(caller, scored.prompting, scored.answer, scored.claims, label=asked.name)

        return Way(kind="ptrue", label=asked.name, make=make, callers=(caller, again), answering=_by_asking(again))

    def chat(self, model: OpenAIModel) -> Way:
        return self._echo(ScoringModel(model))

    def completions(self, model: OpenAIModel) -> Way:
        return self._echo(EchoModel(model))

    def _echo(self, model: Model) -> Way:
        caller, again = self.caller(model), self.caller(self.model)

        def make(scored: Scored) -> Scorer:
            return EchoScorer(caller, scored.prompting, scored.answer, label=model.name)

        return Way(kind="logprobs", label=model.name, make=make, callers=(caller, again), answering=_by_asking(again))


def _local(folder: str, model: Model) -> Way:
    """A model in this process: a surrogate, where another one wrote the answer."""
    local = LocalModel(folder)
    surrogate = not is_offline(model.name)
    told = (f"scored by {folder!r} in place of {model.name}: a surrogate, which may rest on other sentences",)

    def make(scored: Scored) -> Scorer:
        return LocalScorer(local, scored.prompting, scored.answer)

    def answering(scored: Scored) -> Answering:
        return LocalScorer(local, scored.prompting, scored.answer).answered

    told = told if surrogate else ()
    return Way(
        kind="logprobs",
        label=f"hf:{local.name}",
        make=make,
        callers=(),
        answering=answering,
        warnings=told,
        local=local,
    )


def _by_asking(caller: Caller) -> Callable[[Scored], Answering]:
    """Sends the prompt that is scored, without the answer."""

    def of(scored: Scored) -> Answering:
        async def answered(shown: Coalition) -> str:
            messages = scored.prompting.messages(shown)
            return usable(await caller(Request(messages=messages, role="trace", max_tokens=ANSWER_TOKENS)))

        return answered

    return of


def added(usages: Sequence[Usage]) -> Usage:
    """Several accounts as one; the money is unknown where one of them does not know it."""
    costs = [usage.cost_usd for usage in usages]
    return Usage(
        calls=sum(usage.calls for usage in usages),
        calls_from_journal=sum(usage.calls_from_journal for usage in usages),
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
        seconds=max((usage.seconds for usage in usages), default=0.0),
    )


def _may_echo(model: Model) -> bool:
    """OpenAI's own API echoes nothing; servers of one's own may."""
    return isinstance(model, OpenAIModel) and urlsplit(model.base_url).hostname != urlsplit(OPENAI_URL).hostname
