"""P(True): for chat APIs with log-probabilities of their own tokens only. A judgement of support, not a cause."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from coa.attribution.base import Coalition, Kind
from coa.attribution.prompting import Prompting
from coa.attribution.scorers import Call
from coa.prompts import Prompts
from coa.runtime.together import together
from coa.serving.base import Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ProbeScorer:
    """Asks of each claim whether what is shown supports it: log P(Yes) - log P(No), in nats, one column a claim."""

    kind: Kind = "ptrue"

    def __init__(
        self, call: Call, prompting: Prompting, answer: str, claims: Sequence[tuple[int, int]], *, label: str
    ) -> None:
        self._call, self._prompting, self.label = call, prompting, label
        self._claims = [answer[start:end] for start, end in claims]
        self._offsets = tuple(start for start, _ in claims)
        self._probe = Prompts()["trace_probe"]

    @property
    def offsets(self) -> Sequence[int]:
        """Where each claim begins: one column a claim."""
        return self._offsets

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """One array of shape ``(claims,)`` a coalition; one call for each claim of each.

        Raises:
            ModelError: see `coa.serving.probe`.
        """
        import numpy as np

        requests = [self._request(coalition, claim) for coalition in coalitions for claim in self._claims]
        replies = await together(_logit(self._call, request) for request in requests)
        return list(np.array(replies, dtype=np.float64).reshape(len(coalitions), len(self._claims)))

    def _request(self, coalition: Coalition, claim: str) -> Request:
        *head, last = self._prompting.messages(coalition)
        asked = replace(last, content=last.content + self._probe.render(claim=claim))
        return Request(messages=(*head, asked), role="trace", max_tokens=1)


async def _logit(call: Call, request: Request) -> float:
    return float(json.loads((await call(request)).text)["logit"])
