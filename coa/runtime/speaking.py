"""The final text on its way: pieces as events while the model writes, for those who listen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coa.events import Emit, TextPiece
from coa.serving.base import Model, Reply, Request, Streaming, content_tokens

Watch = Callable[[str], int | None]
Stream = Callable[[Request, Callable[[str], None]], Awaitable[Reply]]

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
        if request.watch is not None and isinstance(model, Streaming):
            return await self._watched(model, request, request.watch(), model.stream)
        if not self._wanted(request.role):
            return await model.complete(request)
        if isinstance(model, Streaming):
            return await model.stream(request, self._attempt(request.role))
        reply = await model.complete(request)
        self.replayed(request.role, reply)
        return reply

    async def _watched(self, model: Model, request: Request, watch: Watch, stream: Stream) -> Reply:
        """Stream, and hang up where the watch says that it is enough."""
        pieces: list[str] = []
        tell = self._attempt(request.role) if self._wanted(request.role) else None

        def hear(piece: str) -> None:
            pieces.append(piece)
            if tell is not None:
                tell(piece)
            if (end := watch(piece)) is not None:
                raise _Enough(end)

        try:
            return await stream(request, hear)
        except _Enough as enough:
            return _cut(model, request, "".join(pieces)[: enough.end])

    def replayed(self, role: str, reply: Reply) -> None:
        """Tell a whole reply at once: it was known, or its model cannot stream."""
        if self._wanted(role):
            self._emit(TextPiece(role=role, text=reply.text, start=True))

    def _wanted(self, role: str) -> bool:
        return self._on and role in FINAL_ROLES

    def _attempt(self, role: str) -> _Attempt:
        return _Attempt(self._emit, role)


class _Enough(Exception):
    """The watch has heard enough; not an error."""

    def __init__(self, end: int) -> None:
        super().__init__()
        self.end = end


def _cut(model: Model, request: Request, text: str) -> Reply:
    """What was heard of a reply; the server's own count of tokens never came, so that they are estimated."""
    prompt = content_tokens(request.messages, model.counter)
    spent = model.counter.count(text)
    return Reply(text=text, finish="length", model=model.name, prompt_tokens=prompt, completion_tokens=spent)


class _Attempt:
    """The pieces of one attempt; the first one voids what earlier attempts have said."""

    def __init__(self, emit: Emit, role: str) -> None:
        self._emit, self._role, self._start = emit, role, True

    def __call__(self, text: str) -> None:
        self._emit(TextPiece(role=self._role, text=text, start=self._start))
        self._start = False
