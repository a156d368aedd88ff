"""Which scorer a trace uses, and how much of the sources fits into its prompts."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from coa.agents.fence import fence_for
from coa.attribution.base import Scorer, Segment
from coa.attribution.local import LocalScorer
from coa.attribution.scorers import EchoScorer, Prompting, RegenerateScorer
from coa.config import Settings
from coa.documents import Document
from coa.errors import MalformedReply, RequestRejected, UsageError, WindowTooSmall
from coa.events import Emit
from coa.prompts import Prompts
from coa.runtime.caller import Caller, caller_for
from coa.runtime.journal import Journal
from coa.serving.base import Model
from coa.serving.echo import EchoModel
from coa.serving.openai import OPENAI_URL, OpenAIModel

SCORERS = ("auto", "logprobs", "regenerate", "support")

_REPLY_ROOM = 512
_LEAST_ROOM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be traced, with what."""

    question: str
    answer: str
    claims: tuple[tuple[int, int], ...]
    documents: tuple[Document, ...]
    settings: Settings
    model: Model
    window: int

    def prompting(self, segments: tuple[Segment, ...]) -> Prompting:
        """Prompts over these segments."""
        return Prompting(segments=segments, question=self.question, fence=fence_for(self.documents), prompts=Prompts())


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A scorer, the caller that pays for it, and what had to be said about the choice."""

    scorer: Scorer
    caller: Caller
    warnings: tuple[str, ...] = ()


def supports_only(wanted: str, model: Model) -> bool:
    """Whether there is no language model to ask: wording is compared instead."""
    return wanted == "support" or (wanted == "auto" and model.name.startswith("offline"))


async def choose_scorer(
    wanted: str, asked: Asked, segments: tuple[Segment, ...], journal: Journal, emit: Emit
) -> Chosen:
    """The scorer that was asked for; ``auto`` takes log-probabilities where the server gives them.

    Raises:
        UsageError: the model cannot be scored in the way that was asked for.
        ModelError: log-probabilities were asked for and the server gives none.
    """
    prompting = asked.prompting(segments)
    caller = caller_for((asked.model,), asked.settings, journal, emit)
    if wanted.startswith("hf:"):
        return Chosen(scorer=LocalScorer(wanted.removeprefix("hf:"), prompting, asked.answer), caller=caller)
    again = RegenerateScorer(caller, prompting, asked.answer, asked.claims, label=asked.model.name)
    if wanted == "regenerate" or (wanted == "auto" and not _may_echo(asked.model)):
        return Chosen(scorer=again, caller=caller)
    if not isinstance(asked.model, OpenAIModel):
        raise UsageError(f"{asked.model.name} gives no log-probabilities", hint="Use --scorer regenerate.")
    echo = EchoModel(asked.model)
    echoing = caller_for((echo,), asked.settings, journal, emit)
    scorer = EchoScorer(echoing, prompting, asked.answer, label=echo.name)
    try:
        await scorer.logprobs([frozenset()])
    except (RequestRejected, MalformedReply):
        if wanted == "logprobs":
            raise
        told = f"{asked.model.name} gives no log-probabilities: the answer is asked for again and compared"
        return Chosen(scorer=again, caller=caller, warnings=(told,))
    return Chosen(scorer=scorer, caller=echoing)


def overhead(asked: Asked) -> int:
    """Tokens of a prompt around the segments, the answer included."""
    counter = asked.model.counter
    return counter.count(asked.prompting(()).render(frozenset())) + counter.count(asked.answer)


def room_for_segments(asked: Asked) -> int:
    """Tokens of segments that fit into one prompt.

    Raises:
        WindowTooSmall: hardly any do.
    """
    room = int((asked.window - overhead(asked) - _REPLY_ROOM) / (1 + asked.model.counter.margin))
    if room < _LEAST_ROOM:
        raise WindowTooSmall(f"a window of {asked.window} tokens leaves no room for the sources beside the answer")
    return room


def _may_echo(model: Model) -> bool:
    """OpenAI's own API echoes nothing; servers of one's own may."""
    return isinstance(model, OpenAIModel) and urlsplit(model.base_url).hostname != urlsplit(OPENAI_URL).hostname
