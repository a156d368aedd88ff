"""How many calls and input tokens a setting takes: shared by plans and by the allocation of a budget."""

from __future__ import annotations


def calls(rounds: int) -> int:
    """Calls with so many follow-up questions: two for each, and the answer."""
    return 2 * rounds + 1


def input_tokens(passages: int, beside: int, rounds: int) -> int:
    """Input tokens of all calls together, the effective context, at most.

    Each of the ``calls(rounds)`` prompts holds ``beside`` tokens and the passages found by then. Passages of ``j + 1``
    searches are in the call that asks for follow-up ``j + 1``, those of ``j + 2`` in the one that answers it, those of
    ``rounds + 1`` in the last.

    Args:
        passages: Tokens of the passages that one search adds.
        beside: Tokens of a prompt without passages: instructions, question, examples.
        rounds: Follow-up questions.
    """
    searches = sum((j + 1) + (j + 2) for j in range(rounds)) + rounds + 1
    return passages * searches + beside * calls(rounds)
