"""`ScriptedModel`: says what a test wants it to say, and remembers what it was asked."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from coa.errors import CoaError, RequestRejected
from coa.serving.base import Reply, Request, content_tokens
from coa.testing.script_file import Scripted, load_replies
from coa.testing.speech import SPEECHES, Speak
from coa.tokens import EstimateCounter, TokenCounter

Answer = Callable[[Request], Scripted | Awaitable[Scripted]]
Replies = Sequence[Scripted] | Mapping[str, Sequence[Scripted]] | Answer
"""A list, used up in order; a list for each role; or a function, plain or async. An error in it is raised."""


class ScriptedModel:
    """A model for tests, without any network.

    ::

        model = ScriptedModel(["first notes", RateLimited("busy"), "second notes"])
        model = ScriptedModel({"worker": ["notes", "more notes"], "manager": ["the answer"]})
        model = ScriptedModel(lambda request: request.messages[-1].content.upper())

    Args:
        replies: What to say; see `Replies`.
        window: Prompt and reply together, in tokens.
        counter: Counts tokens; an estimate by default.
        name: What the model is called.

    Attributes:
        requests: What was asked, in order.
        closed: Whether `close` was called.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        window: int = 8192,
        counter: TokenCounter | None = None,
        name: str = "scripted:test",
    ) -> None:
        self.name = name
        self.window = window
        self.counter: TokenCounter = counter or EstimateCounter()
        self.requests: list[Request] = []
        self.closed = False
        self._replies = replies
        self._used: Counter[str] = Counter()

    async def complete(self, request: Request) -> Reply:
        """The next reply of the script.

        Raises:
            RequestRejected: the script has no reply left for this request.
            CoaError: where the script says so.
        """
        self.requests.append(request)
        said = await self._next(request)
        if isinstance(said, CoaError):
            raise said
        return said if isinstance(said, Reply) else self._reply(said, request)

    async def close(self) -> None:
        """Remembered in ``closed``."""
        self.closed = True

    def assert_consumed(self) -> None:
        """Check that every reply of the script was asked for.

        Raises:
            AssertionError: some were not, or the script is a function, which has no end.
        """
        if callable(self._replies):
            raise AssertionError("a function has no last reply: assert_consumed is for lists")
        scripts = self._replies if isinstance(self._replies, Mapping) else {"": self._replies}
        left = {role: len(script) - self._used[role] for role, script in scripts.items()}
        left = {role: count for role, count in left.items() if count}
        if left:
            raise AssertionError(f"replies were left over: {left!r} (after {len(self.requests)} calls)")

    async def _next(self, request: Request) -> Scripted:
        if callable(self._replies):
            said = self._replies(request)
            return await said if inspect.isawaitable(said) else said
        by_role = isinstance(self._replies, Mapping)
        key = request.role if by_role else ""
        script = self._replies.get(key, ()) if isinstance(self._replies, Mapping) else self._replies
        if self._used[key] >= len(script):
            raise RequestRejected(
                f"{self.name}: the script has no reply left for call {len(self.requests)} (role {request.role!r})",
                hint="Give the script as many replies as there are calls, or a function.",
            )
        self._used[key] += 1
        return script[self._used[key] - 1]

    def _reply(self, text: str, request: Request) -> Reply:
        return Reply(
            text=text,
            finish="stop",
            model=self.name,
            prompt_tokens=content_tokens(request.messages, self.counter),
            completion_tokens=self.counter.count(text),
        )


def load_script(name: str, *, window: int | None = None) -> ScriptedModel:
    """The model that ``scripted:NAME`` names: ``echo``, ``facts``, or a JSON or JSONL file (see docs/testing.md).

    Raises:
        UsageError: the file cannot be read or is no script.
    """
    spoken = SPEECHES.get(name)
    replies = _spoken(spoken) if spoken else load_replies(name)
    return ScriptedModel(replies, window=window or 8192, name=f"scripted:{name}")


def _spoken(speak: Speak) -> Answer:
    return lambda request: speak("\n".join(message.content for message in request.messages))
