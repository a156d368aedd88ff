"""A model server of known speed in a process of its own; it also finds out which call needed which other one's reply.

Every reply names its call. A prompt that holds such a name depends on that call, so the longest line of dependent
calls, the critical path, is counted and not guessed from clocks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

WARM = "WARM-UP"
"""Calls about this are answered and not counted: contenders import what they need first."""
CALL = re.compile(r"call-(\d+)")
CHARS = 4
WORDS = "and then the keeper wrote down what the sea had done to the pier in the night before "


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Tokens a second for prompts and replies, replies of so many tokens, requests worked on at once.

    More requests wait, as in vLLM, or are ``refused`` with 429, as by a hosted API.
    """

    prompt: float = 50_000
    reply: float = 500
    reply_tokens: int = 200
    slots: int = 8
    refused: bool = False


@dataclass(slots=True)
class Counts:
    """What was asked of the server; ``depth`` is the critical path in calls."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    depth: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    max_in_flight: int = 0


class Counting:
    """Makes the replies, and counts."""

    def __init__(self, speed: Speed) -> None:
        self.speed, self.counts = speed, Counts()
        self._depths: dict[int, int] = {}

    def reply(self, prompt: str) -> str:
        if WARM in prompt:
            return f"{WARM} is over."
        counts = self.counts
        counts.calls += 1
        depth = 1 + max((self._depths.get(int(call), 0) for call in CALL.findall(prompt)), default=0)
        self._depths[counts.calls] = depth
        counts.depth = max(counts.depth, depth)
        text = f"call-{counts.calls} says: "
        text += (WORDS * self.speed.reply_tokens)[: self.speed.reply_tokens * CHARS - len(text) - 1] + "."
        counts.prompt_tokens += len(prompt) // CHARS
        counts.completion_tokens += len(text) // CHARS
        return text

    def seconds(self, body: Mapping[str, Any]) -> float:
        size = sum(len(str(message["content"])) for message in body["messages"]) / CHARS
        return size / self.speed.prompt + self.speed.reply_tokens / self.speed.reply


def serve(speed: Speed) -> None:
    """Until standard input ends; then the counts are printed."""
    from coa.testing import Fault, FaultServer

    counting = Counting(speed)
    slow = lambda _, body: Fault(delay=counting.seconds(body))  # noqa: E731
    bound = {"capacity" if speed.refused else "slots": speed.slots}
    with FaultServer(counting.reply, faults=slow, **bound) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
        counting.counts.statuses = dict(server.statuses)
        counting.counts.max_in_flight = server.max_in_flight
    print(json.dumps(asdict(counting.counts)))


@contextmanager
def served(speed: Speed, into: dict[str, Any]) -> Iterator[str]:
    """A server until the block ends; ``into`` then holds its counts."""
    command = [sys.executable, __file__, json.dumps(asdict(speed))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            into.update(json.loads(process.stdout.readline()))


if __name__ == "__main__":
    serve(Speed(**json.loads(sys.argv[1])))
