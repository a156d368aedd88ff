"""A loopback server that speaks OpenAI's protocol and fails as it is told to. Standard library only.

::

    async with FaultServer("facts", faults=[FAULTS["429"], FAULTS["reset"]]) as server:
        model = OpenAIModel("any", base_url=server.base_url)      # two faults, then healthy
        ...
        assert server.hits == 3

In a test without an event loop write ``with FaultServer(...) as server``: it runs in a thread of its own. For other
programs: ``python -m coa.testing.faults --port 8399 --reply facts --fault-rate 0.2``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from coa.testing.completions import Spoken, bound_of, completion, embeddings, error_body, prompt_of, stream
from coa.testing.fault import FAULTS, TRANSIENT, End, Fault, StreamFault, rate_limited
from coa.testing.speech import Speak, speech
from coa.testing.vendors import VENDORS, Refuse
from coa.testing.wire import Received, flood, receive, send

__all__ = ["FAULTS", "TRANSIENT", "VENDORS", "End", "Fault", "FaultServer", "Script", "StreamFault", "rate_limited"]

Script = Sequence[Fault | None] | Callable[[int, Mapping[str, Any]], Fault | None]
"""Faults in the order of the requests (None: a healthy reply), or a function of the request's index and body."""

_HEALTHY = FAULTS["healthy"]
_BACKLOG = 1024


class FaultServer:
    """An OpenAI-compatible server on 127.0.0.1.

    Args:
        reply: ``echo``, ``facts``, a function of the prompt, or any other text, said as it is.
        faults: What goes wrong, request by request; after the end of a list all is well.
        fault_rate: Share of the requests, beyond ``faults``, that fail at random.
        random_faults: What such a failure may be.
        seed: Makes the random failures repeatable: they depend on it, on the prompt and on how often that prompt
            has come, never on the order in which requests arrive.
        capacity: Requests in flight at most; one more is answered 429.
        latency: Seconds that a healthy reply takes.
        slots: Replies being made at once; more requests wait for their turn, as they do in vLLM.
        max_context: Tokens of prompt and reply together at most; None sets no limit.
        clamp: What happens when the prompt fits, but not with the reply that was asked for: the reply is cut without
            a word, as vLLM does it, or (False) the request is refused.
        overflow: Whose words a refusal takes: a name in `VENDORS`, or a function.
        chars_per_token: How this server counts; 4 is near to English, 3 makes every client's estimate too low.
        models: The names that ``GET /v1/models`` lists.
        embed: A vector for a text, for ``POST /v1/embeddings``; faults hit these requests as they do completions.
        port: Where to listen; 0 takes any free port.

    Attributes:
        hits: Completions that were asked for, failed ones included.
        requests: Their bodies, in the order of arrival.
        headers: Their headers, with names in lower case.
        statuses: How often each status was sent; 0 stands for a connection that ended without one.
        in_flight: Completions being worked on.
        max_in_flight: The most of them at any time.
        connections: TCP connections that were accepted.
        max_prompt_tokens: The longest prompt that was accepted, counted by this server.
        flooded: Bytes that clients took of responses without end.
    """

    def __init__(
        self,
        reply: str | Speak = "All is well.",
        *,
        faults: Script = (),
        fault_rate: float = 0.0,
        random_faults: Sequence[Fault] = TRANSIENT,
        seed: int = 0,
        capacity: int | None = None,
        latency: float = 0.0,
        slots: int | None = None,
        max_context: int | None = None,
        clamp: bool = False,
        overflow: str | Refuse = "openai",
        chars_per_token: float = 4.0,
        models: Sequence[str] = ("test",),
        embed: Callable[[str], Sequence[float]] | None = None,
        port: int = 0,
    ) -> None:
        self.faults = faults
        self.hits = 0
        self.requests: list[Mapping[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self.in_flight = 0
        self.max_in_flight = 0
        self.connections = 0
        self.max_prompt_tokens = 0
        self.flooded = 0
        self.port = port
        self._speak = speech(reply)
        self._random = (fault_rate, tuple(random_faults), seed)
        self._seen: Counter[str] = Counter()
        self._capacity, self._latency = capacity, latency
        self._turn = contextlib.nullcontext() if slots is None else asyncio.Semaphore(slots)
        self._max_context, self._clamp = max_context, clamp
        self._refuse = VENDORS[overflow] if isinstance(overflow, str) else overflow
        self._chars_per_token = chars_per_token
        self._models = tuple(models)
        self._embed = embed
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread: _Thread | None = None

    @property
    def base_url(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()

    def __enter__(self) -> Self:
        self._thread = _Thread(self)
        self._thread.begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.end()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                going = True
                while going and (received := await receive(reader)):
                    going = await self._answer(received, writer) and received.headers.get("connection") != "close"
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        if received.method == "POST" and received.path.endswith("/chat/completions"):
            return await self._complete(received, writer)
        if self._embed is not None and received.method == "POST" and received.path.endswith("/embeddings"):
            return await self._complete(received, writer)
        if received.path.endswith("/models"):
            return await send(writer, self._listed(), _HEALTHY)
        if received.path.endswith("/stats"):
            return await send(writer, json.dumps(self.stats()).encode(), _HEALTHY)
        if received.path.endswith("/health"):
            return await send(writer, b"{}", _HEALTHY)
        return await send(writer, b'{"detail": "Not Found"}', Fault(status=404))

    def stats(self) -> dict[str, Any]:
        """The counters, as ``GET /stats`` sends them."""
        names = ("hits", "in_flight", "max_in_flight", "connections", "max_prompt_tokens", "flooded")
        return {**{name: getattr(self, name) for name in names}, "statuses": dict(self.statuses)}

    async def _complete(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        body: Mapping[str, Any] = json.loads(received.body)
        index, self.hits = self.hits, self.hits + 1
        self.requests.append(body)
        self.headers.append(received.headers)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._respond(index, body, writer)
        finally:
            self.in_flight -= 1

    async def _respond(self, index: int, body: Mapping[str, Any], writer: asyncio.StreamWriter) -> bool:
        prompt = prompt_of(body)
        fault, room = self._admit(prompt, body, self._fault(index, body, prompt))
        self.statuses[0 if fault.cut == 0 and fault.end != "keep" else fault.status] += 1
        async with self._turn:
            await asyncio.sleep(fault.delay + (self._latency if fault.status == 200 else 0.0))
        content = self._content(prompt, body, fault, room)
        streamed = bool(body.get("stream")) and fault.body is None and fault.status == 200
        if fault.endless:
            async for taken in flood(writer, content, fault, streamed=streamed):
                self.flooded += taken
        return await send(writer, content, fault, streamed=streamed)

    def _content(self, prompt: str, body: Mapping[str, Any], fault: Fault, room: int | None) -> bytes:
        if fault.body is not None:
            return fault.body.encode() if isinstance(fault.body, str) else fault.body
        if fault.status != 200:
            return error_body(fault)
        if self._embed is not None and "input" in body:
            return embeddings(body, self._embed)
        spoken = self._spoken(prompt, body, room)
        return stream(spoken, fault) if body.get("stream") else completion(spoken, fault)

    def _fault(self, index: int, body: Mapping[str, Any], prompt: str) -> Fault:
        if callable(self.faults):
            found = self.faults(index, body)
        else:
            found = self.faults[index] if index < len(self.faults) else None
        return found or self._by_chance(prompt)

    def _by_chance(self, prompt: str) -> Fault:
        rate, choices, seed = self._random
        self._seen[prompt] += 1
        dice = random.Random(f"{seed}:{self._seen[prompt]}:{prompt}")
        return dice.choice(choices) if dice.random() < rate else _HEALTHY

    def _admit(self, prompt: str, body: Mapping[str, Any], fault: Fault) -> tuple[Fault, int | None]:
        """The fault, or the refusal that comes before it; and the tokens that the reply may take."""
        if self._capacity is not None and self.in_flight > self._capacity:
            return rate_limited("0.05"), None
        size, bound = self._tokens(prompt), bound_of(body)
        if self._max_context is not None and fault.status == 200:
            room = self._max_context - size
            if room <= 0 or (not self._clamp and bound is not None and bound > room):
                return self._refuse(self._max_context, size), None
            bound = room if bound is None else min(bound, room)
        self.max_prompt_tokens = max(self.max_prompt_tokens, size)
        return fault, bound

    def _spoken(self, prompt: str, body: Mapping[str, Any], room: int | None) -> Spoken:
        text = self._speak(prompt)
        whole = room is None or self._tokens(text) <= room
        text = text if whole else text[: int((room or 0) * self._chars_per_token)]
        return Spoken(
            text=text,
            finish="stop" if whole else "length",
            model=str(body.get("model", "test")),
            prompt_tokens=self._tokens(prompt),
            completion_tokens=self._tokens(text),
        )

    def _tokens(self, text: str) -> int:
        return -int(-len(text) // self._chars_per_token)

    def _listed(self) -> bytes:
        entries = [{"id": name, "object": "model", "owned_by": "coa"} for name in self._models]
        if self._max_context is not None:
            entries = [{**entry, "max_model_len": self._max_context} for entry in entries]
        return json.dumps({"object": "list", "data": entries}).encode()


class _Thread:
    """Runs a server beside code that has no event loop."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-server", daemon=True)

    def begin(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.__aenter__(), self._loop).result()

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m coa.testing.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port (default)")
    parser.add_argument("--reply", default="facts", help="echo, facts, or any other text (default: facts)")
    parser.add_argument("--fault", action="append", default=[], choices=sorted(FAULTS), help="for the next request")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of the requests that fail at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--capacity", type=int, help="answer 429 above so many requests in flight")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--slots", type=int, help="let requests wait above so many at once")
    parser.add_argument("--max-context", type=int, help="tokens")
    parser.add_argument("--clamp", action="store_true", help="cut a reply that does not fit, instead of refusing")
    parser.add_argument("--overflow", default="openai", choices=sorted(VENDORS), help="how a refusal is worded")
    parser.add_argument("--chars-per-token", type=float, default=4.0)
    return parser


async def _serve(options: argparse.Namespace) -> None:
    arguments = vars(options)
    script = [FAULTS[name] for name in arguments.pop("fault")]
    async with FaultServer(arguments.pop("reply"), faults=script, **arguments) as server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted; the first line of the output is the address."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_parser().parse_args(argv)))


if __name__ == "__main__":
    main()
