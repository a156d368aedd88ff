"""The two ways of scoring, chosen by cost, over a server that answers as vLLM does: letters are its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from coa.serving.base import Message, Request
from coa.serving.openai import OpenAIModel
from coa.serving.scoring import ROW_TOKENS, PrefixBlocks, ScoringModel
from tests.loopback import listening

BLOCK = 16
ANSWER = "by sea"


@dataclass
class Server:
    """``held`` are the blocks of its prefix cache; ``ways`` is what was asked of it."""

    url: str = ""
    sparse: bool = False
    knows_token_ids: bool = True
    held: set[str] = field(default_factory=set)
    ways: list[str] = field(default_factory=list)
    computed: int = 0

    def prompt(self, messages: list[dict[str, str]]) -> str:
        return "\n".join(message["content"] for message in messages)

    def read(self, text: str, from_cache: bool) -> int:
        """Tokens taken from the cache; what was read is in it afterwards."""
        ends = range(BLOCK, len(text) + 1, BLOCK)
        cached = 0
        if from_cache:
            cached = next((end - BLOCK for end in ends if text[:end] not in self.held or end > len(text) - 1), None)
            cached = len(text) // BLOCK * BLOCK if cached is None else cached
        self.held |= {text[:end] for end in ends}
        self.computed += len(text) - cached
        return cached

    def metrics(self) -> str:
        calls = 'coa_sparse_attention_calls{method="xattention"} 4.0\n' if self.sparse else ""
        return f'vllm:cache_config_info{{block_size="{BLOCK}",enable_prefix_caching="True"}} 1.0\n{calls}'


def likelihood(before: str, token: int) -> float:
    return -((len(before) * 7 + token) % 23) / 10


def answered(server: Server, path: str, body: dict[str, Any]) -> Any:
    if path == "/tokenize":
        return {"tokens": [ord(c) for c in server.prompt(body["messages"])]}
    if path == "/v1/chat/completions":
        server.ways.append("whole")
        text = server.prompt(body["messages"])
        server.read(text, from_cache=False)
        rows = [
            {str(ord(c)): {"logprob": likelihood(text[:i], ord(c)), "decoded_token": c}} for i, c in enumerate(text)
        ]
        return {"prompt_logprobs": [None, *rows[1:]], "usage": usage(len(text), 0)}
    server.ways.append(f"{len(body['prompt'])} rows")
    texts = ["".join(map(chr, ids)) for ids in body["prompt"]]
    cached = [server.read(text, from_cache=True) for text in texts]
    wanted = body["logprob_token_ids"] if server.knows_token_ids else [120]
    choices = [
        {
            "index": i,
            "logprobs": {"top_logprobs": [{f"token_id:{token}": likelihood(text, token) for token in wanted}]},
        }
        for i, text in enumerate(texts)
    ]
    return {"choices": choices[::-1], "usage": usage(sum(map(len, texts)), cached[0])}


def usage(prompt: int, cached: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": cached}}


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data: Any = {"data": [{"id": "tiny", "max_model_len": 8192}]}
            self.send(state.metrics() if self.path == "/metrics" else json.dumps(data))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send(json.dumps(answered(state, self.path, body)))

        def send(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with listening(Handler) as state.url:
        yield state


def request(context: str, answer: str = ANSWER) -> Request:
    return Request(
        messages=(Message(role="user", content=context), Message(role="assistant", content=answer)),
        role="trace",
        max_tokens=1,
    )


async def scored(model: ScoringModel, context: str, answer: str = ANSWER) -> tuple[list[float], Any]:
    reply = await model.complete(request(context, answer))
    said = json.loads(reply.text)
    text = f"{context}\n{answer}"
    # The blank line before the answer belongs to no token of it.
    expected = [likelihood(text[: len(context) + 1 + i], ord(c)) for i, c in enumerate(answer)]
    assert said["offsets"] == list(range(len(answer)))
    assert said["logprobs"] == pytest.approx(expected)
    return said["logprobs"], reply


LONG = "The letter went from hand to hand until nobody knew who had written it. " * 12


async def test_the_cached_way_is_taken_where_most_of_the_prompt_was_sent_before(server: Server):
    model = ScoringModel(OpenAIModel("tiny", base_url=server.url))
    try:
        await scored(model, LONG + "How did it go?")
        assert server.ways == ["whole"]
        before = server.computed
        _, reply = await scored(model, LONG + "How was it sent?")
        assert server.ways == ["whole", "1 rows", "5 rows"]
        # Each token counts once, and what was not computed came from the cache.
        assert reply.prompt_tokens == len(LONG + "How was it sent?") + 1 + len(ANSWER)
        assert reply.prompt_tokens - reply.cached_tokens == server.computed - before
        await scored(model, "Nothing of this was sent before: " + LONG[::-1])
        assert server.ways[-1] == "whole"
    finally:
        await model.close()


async def test_a_long_reply_to_a_short_prompt_is_read_whole(server: Server):
    model = ScoringModel(OpenAIModel("tiny", base_url=server.url))
    try:
        for context in ("How did the letter go, and who carried it?", "How did the letter go, and who carried it on?"):
            await scored(model, context, "It went " + "on " * 60)
        assert server.ways == ["whole", "whole"]
    finally:
        await model.close()


async def test_a_cache_that_lost_its_blocks_is_no_longer_counted_on(server: Server):
    model = ScoringModel(OpenAIModel("tiny", base_url=server.url))
    try:
        await scored(model, LONG + "How did it go?")
        server.held.clear()
        await scored(model, LONG + "How was it sent?")
        assert server.ways[1:] == ["1 rows", "5 rows"]
        server.held.clear()
        assert model.calls == {"whole": 1, "cached": 1}
        await scored(model, LONG[5:] + "And then?")
        assert server.ways[-1] == "whole"
    finally:
        await model.close()


@pytest.mark.parametrize("change", ["sparse", "knows_token_ids"])
async def test_servers_on_which_the_ways_differ_or_the_second_fails_get_the_first(server: Server, change: str):
    setattr(server, change, change == "sparse")
    model = ScoringModel(OpenAIModel("tiny", base_url=server.url))
    try:
        for question in ("How did it go?", "How was it sent?", "By whom?"):
            await scored(model, LONG + question)
        assert server.ways[-1] == "whole" and model.calls["cached"] == 0
        assert server.ways.count("1 rows") <= 1, "what failed once is not tried again"
    finally:
        await model.close()


def test_what_rows_cost_is_counted_block_by_block():
    blocks = PrefixBlocks(4)
    ids = list(range(10))
    assert blocks.held(ids) == 0
    blocks.add(ids)
    assert blocks.held(ids) == 8 and blocks.held(ids[:8]) == 4, "the last token is always computed"
    assert blocks.held([0, 1, 2, 3, 9, 9, 9, 9, 9]) == 4
    # Rows of 7, 8 and 9 tokens: 3 and 4 to compute, and one beyond the cache for the longest.
    assert blocks.rows_cost(ids, 7) == 1 + 3 + 4 + 3 * ROW_TOKENS
    blocks.forget()
    assert blocks.rows_cost(ids, 7) == 9 + 3 + 4 + 3 * ROW_TOKENS
