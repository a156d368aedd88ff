"""The final text on its way: pieces as events while the model writes, for those who listen."""

from __future__ import annotations

from coa.events import Emit, TextPiece
from coa.serving.base import Model, Reply, Request, Streaming

FINAL_ROLES = frozenset({"manager", "reader"})
"""Agents whose reply is the text that the user waits for."""


class Speaker:
    """Sends requests, and tells the text of the final ones piece by piece.

    Args:
        emit: Is told the pieces.
        on: Whether anybody listens. If not, nothing is streamed: a streamed call costs more on either side.
    """

    def __init__(self, emit: Emit, *, on: bool) -> None:
        self._emit, self._on = emit, on

    async def complete(self, model: Model, request: Request) -> Reply:
        """Send a request once, streamed if somebody wants to hear it and the model can.

        Raises:
            ModelError: one of its subclasses, for every failure.
        """
        if not self._wanted(request.role):
            return await model.complete(request)
        if isinstance(model, Streaming):
            return await model.stream(request, self._attempt(request.role))
        reply = await model.complete(request)
        self.replayed(request.role, reply)
        return reply

    def replayed(self, role: str, reply: Reply) -> None:
        """Tell a whole reply at once: it was known, or its model cannot stream."""
        if self._wanted(role):
            self._emit(TextPiece(role=role, text=reply.text, start=True))

    def _wanted(self, role: str) -> bool:
        return self._on and role in FINAL_ROLES

    def _attempt(self, role: str) -> _Attempt:
        return _Attempt(self._emit, role)


class _Attempt:
    """The pieces of one attempt; the first one voids what earlier attempts have said."""

    def __init__(self, emit: Emit, role: str) -> None:
        self._emit, self._role, self._start = emit, role, True

    def __call__(self, text: str) -> None:
        self._emit(TextPiece(role=self._role, text=text, start=self._start))
        self._start = False
