"""Scorers over a model: exact log-probabilities where the server gives them, a noisy comparison where it does not."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from coa.agents.replies import usable
from coa.attribution.base import Coalition, Kind
from coa.attribution.prompting import Prompting
from coa.errors import InvalidReply
from coa.retrieval.terms import terms
from coa.runtime.together import together
from coa.serving.base import Message, Reply, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Call = Callable[[Request], Awaitable[Reply]]

ANSWER_TOKENS = 512
_NATS_A_CLAIM = 14.0
"""A claim that is wholly lost counts as much as an unlikely answer does: thresholds in nats keep their sense."""


class EchoScorer:
    """log p(answer | segments), token by token, from a model such as `coa.serving.echo.EchoModel`."""

    kind: Kind = "logprobs"

    def __init__(self, call: Call, prompting: Prompting, answer: str, *, label: str) -> None:
        self._call, self._prompting, self._answer = call, prompting, answer
        self.label = label
        self._offsets: tuple[int, ...] = ()

    @property
    def offsets(self) -> Sequence[int]:
        """Where each scored token begins in the answer."""
        return self._offsets

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """One array of shape ``(tokens,)`` a coalition.

        Raises:
            ModelError: see `coa.serving.echo`.
        """
        replies = await together(_one(self._call, self._request(coalition)) for coalition in coalitions)
        return [self._row(reply) for reply in replies]

    def _request(self, coalition: Coalition) -> Request:
        messages = (*self._prompting.messages(coalition), Message(role="assistant", content=self._answer))
        return Request(messages=messages, role="trace", max_tokens=1)

    def _row(self, reply: Reply) -> NDArray[np.float64]:
        import numpy as np

        scored = json.loads(reply.text)
        if self._offsets and len(self._offsets) != len(scored["offsets"]):
            raise InvalidReply(f"{self.label} cut the answer into other tokens than before")
        self._offsets = tuple(scored["offsets"])
        return np.array(scored["logprobs"], dtype=np.float64)


class RegenerateScorer:
    """Asks for the answer again and compares: for chat APIs that give no log-probabilities. Noisy, and said to be.

    A claim's value is 14 (r - 1) nats, where r is the share of its terms that the new answer holds.
    """

    kind: Kind = "regenerate"

    def __init__(
        self, call: Call, prompting: Prompting, answer: str, claims: Sequence[tuple[int, int]], *, label: str
    ) -> None:
        self._call, self._prompting, self.label = call, prompting, label
        self._claims = [frozenset(terms(answer[start:end])) for start, end in claims]
        self._offsets = tuple(start for start, _ in claims)

    @property
    def offsets(self) -> Sequence[int]:
        """Where each claim begins: one column a claim."""
        return self._offsets

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """One array of shape ``(claims,)`` a coalition; a reply that cannot be used counts as an empty one."""
        replies = await together(_one(self._call, self.request(coalition)) for coalition in coalitions)
        return [self._row(reply) for reply in replies]

    def request(self, coalition: Coalition) -> Request:
        """The question, asked with only these segments in sight."""
        return Request(messages=self._prompting.messages(coalition), role="trace", max_tokens=ANSWER_TOKENS)

    def _row(self, reply: Reply) -> NDArray[np.float64]:
        import numpy as np

        try:
            said = frozenset(terms(usable(reply)))
        except InvalidReply:
            said = frozenset[str]()
        shares = [len(claim & said) / len(claim) if claim else 1.0 for claim in self._claims]
        return _NATS_A_CLAIM * (np.array(shares, dtype=np.float64) - 1)


async def _one(call: Call, request: Request) -> Reply:
    return await call(request)
