"""Which of several texts becomes the answer: the one that most agree with, or the one that a judge prefers.

Votes suit closed and short answers. Of long texts hardly two are alike, so that a vote among them is a throw of dice:
in the paper it takes summaries of meetings from 16.8 to 8.4 and code from 58.3 to 35.6 (arXiv 2406.02818, Tables 6-8).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from coa.agents.base import REPAIR_RESERVE
from coa.agents.closed import choice_in, verdict_in
from coa.agents.judge import MOST_CANDIDATES, REPLY_TOKENS, Candidate
from coa.agents.team import team_of
from coa.errors import ContextOverflow, InvalidReply, UsageError
from coa.pipelines.base import Job, Outcome
from coa.serving.base import prompt_tokens
from coa.types import Task

SELECTIONS = ("auto", "vote", "judge")
SHORT_WORDS = 12
"""Texts of at most so many words can be put to the vote."""

_ABSTAINED = "not judged"
_CITED = re.compile(r"\[[^\]\n]*\]")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The index of the chosen text, and how it came to be chosen."""

    index: int
    reason: str


def check_selection(name: str) -> None:
    """Check a value of ``--select``.

    Raises:
        UsageError: there is no such way to select.
    """
    if name not in SELECTIONS:
        raise UsageError(f"unknown selection {name!r}", hint=f"Choose one of: {', '.join(SELECTIONS)}.")


async def select(outcomes: Sequence[Outcome], how: str, job: Job) -> Selected:
    """Choose among at least one outcome; those that read everything go before those that did not.

    ``auto`` takes a vote where the answers are closed or short and a judge elsewhere, and where the vote is a tie.
    """
    best = _most_read(outcomes)
    if len(best) == 1:
        why = "it alone could be finished" if len(outcomes) == 1 else "it alone read everything"
        return Selected(index=best[0], reason=why)
    votes = {i: vote_of(outcomes[i].text, job.ctx.task) for i in best}
    best = [i for i in best if votes[i] != _ABSTAINED] or best
    keys = [votes[i] for i in best]
    if len(set(keys)) == 1:
        return Selected(index=_best_cited(best, outcomes), reason="all agree")
    if how == "vote" or (how == "auto" and _can_vote([outcomes[i].text for i in best], job.ctx.task)):
        chosen = _voted(best, keys, outcomes)
        if chosen is not None:
            return chosen
        if how == "vote":
            return Selected(index=_nearest(best, outcomes), reason="no two agree; it is the most like the others")
    return await _judged(best, outcomes, job)


def vote_of(text: str, task: Task) -> str:
    """What a text votes for: its verdict, its choice, or its words without citations, articles and punctuation."""
    if task.kind == "verify":
        return verdict_in(text) or _ABSTAINED
    if task.choices:
        choice = choice_in(text, task.choices)
        return choice.chosen or choice.outcome
    if task.kind == "complete":
        return text.rstrip()
    bare = _ARTICLE.sub(" ", _CITED.sub(" ", text).casefold())
    return " ".join(_WORD.findall(bare))


def judge_calls(texts: int, longest: int, size: int) -> tuple[int, int]:
    """Calls of a judge over so many texts of ``longest`` tokens each, at most, and those one after the other."""
    group = max(2, min(MOST_CANDIDATES, (size - REPLY_TOKENS) // max(1, 2 * longest)))
    calls = serial = 0
    while texts > 1:
        texts = -(-texts // group)
        calls, serial = calls + texts, serial + 1
    return calls, serial


def _most_read(outcomes: Sequence[Outcome]) -> list[int]:
    whole = [i for i, outcome in enumerate(outcomes) if outcome.coverage.complete]
    return whole or list(range(len(outcomes)))


def _can_vote(texts: Sequence[str], task: Task) -> bool:
    closed = task.kind == "verify" or bool(task.choices)
    return closed or (task.kind == "qa" and all(len(_words(text)) <= SHORT_WORDS for text in texts))


def _words(text: str) -> list[str]:
    return _WORD.findall(_CITED.sub(" ", text).casefold())


def _voted(best: Sequence[int], keys: Sequence[str], outcomes: Sequence[Outcome]) -> Selected | None:
    """The choice of the most; None where no choice has more than every other."""
    (first, votes), *others = Counter(keys).most_common(2)
    if votes == 1 or (others and others[0][1] == votes):
        return None
    alike = [i for i, key in zip(best, keys, strict=True) if key == first]
    return Selected(index=_best_cited(alike, outcomes), reason=f"{votes} of {len(best)} agree")


def _best_cited(among: Sequence[int], outcomes: Sequence[Outcome]) -> int:
    return max(among, key=lambda i: (len(outcomes[i].citations), -i))


def _nearest(among: Sequence[int], outcomes: Sequence[Outcome]) -> int:
    """The text whose words are most like those of the others: least expected risk (Kumar and Byrne, 2004)."""
    bags = {i: Counter(_words(outcomes[i].text)) for i in among}
    return max(among, key=lambda i: (sum(_overlap(bags[i], bags[j]) for j in among if j != i), -i))


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    """F1 of the words."""
    shared = (one & other).total()
    return 2 * shared / max(1, one.total() + other.total())


async def _judged(best: Sequence[int], outcomes: Sequence[Outcome], job: Job) -> Selected:
    """The judge's choice, in rounds where not all fit one prompt; the most like the others where it makes none."""
    left = list(best)
    try:
        while len(left) > 1:
            left = [await _winner(group, outcomes, job) for group in _groups(left, outcomes, job)]
    except (InvalidReply, ContextOverflow) as error:
        why = f"the judge failed ({error.message}); it is the most like the others"
        return Selected(index=_nearest(best, outcomes), reason=why)
    return Selected(index=left[0], reason=f"the judge chose it among {len(best)}")


async def _winner(group: Sequence[int], outcomes: Sequence[Outcome], job: Job) -> int:
    if len(group) == 1:
        return group[0]
    request = team_of(job.ctx).judge.request([_candidate(outcomes[i]) for i in group], job.ctx)
    return group[await team_of(job.ctx).judge.run(request, job.ctx)]


def _groups(left: Sequence[int], outcomes: Sequence[Outcome], job: Job) -> list[list[int]]:
    """Neighbours that fit one prompt together.

    Raises:
        ContextOverflow: not even two do.
    """
    groups: list[list[int]] = [[]]
    for i in left:
        tried = [*groups[-1], i]
        if len(tried) > MOST_CANDIDATES or (len(tried) > 2 and not _fits(tried, outcomes, job)):
            groups.append([i])
        else:
            groups[-1] = tried
    if not all(_fits(group, outcomes, job) for group in groups if len(group) > 1):
        raise ContextOverflow("two texts do not fit into one prompt together")
    return groups


def _fits(group: Sequence[int], outcomes: Sequence[Outcome], job: Job) -> bool:
    request = team_of(job.ctx).judge.request([_candidate(outcomes[i]) for i in group], job.ctx)
    return prompt_tokens(request.messages, job.ctx.counter) + REPLY_TOKENS + REPAIR_RESERVE <= job.window.size


def _candidate(outcome: Outcome) -> Candidate:
    return Candidate(text=outcome.text, citations=outcome.citations)
