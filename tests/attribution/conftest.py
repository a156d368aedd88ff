"""A real HTTP server whose ``/completions`` echoes its prompt with log-probabilities that follow a known rule.

A word of the answer is likely (-0.05 nats) when it stands in the text between the fences, unlikely (-4) when not.
``/chat/completions`` answers with the sentence of that text that shares most words with the question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

_FENCED = re.compile(r"<<<TEXT \w+\n(.*)\nTEXT \w+>>>", re.DOTALL)
LIKELY, UNLIKELY = -0.05, -4.0


@dataclass
class EchoServer:
    """Address and what was sent to it."""

    url: str
    prompts: list[str] = field(default_factory=list[str])
    echo: bool = True


def rows(prompt: str) -> tuple[list[str], list[float | None]]:
    """Tokens (words with the blank before them) and their log-probabilities."""
    tokens = re.findall(r"\s*\S+", prompt)
    found = list(_FENCED.finditer(prompt))
    shown = set(re.findall(r"\w+", found[-1][1].lower())) if found else set[str]()
    values = [LIKELY if set(re.findall(r"\w+", token.lower())) <= shown else UNLIKELY for token in tokens]
    return tokens, [None, *values[1:]]


@pytest.fixture
def server() -> Generator[EchoServer]:
    state = EchoServer(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/chat/completions"):
                self._send(200, _chat(body["messages"][-1]["content"]))
                return
            if not state.echo:
                self._send(404, {"error": {"message": "no such path", "type": "NotFoundError"}})
                return
            state.prompts.append(body["prompt"])
            tokens, values = rows(body["prompt"])
            logprobs = {"tokens": [*tokens, " end"], "token_logprobs": [*values, -1.0]}
            usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
            choice = {"index": 0, "text": "", "logprobs": logprobs, "finish_reason": "length"}
            self._send(200, {"id": "c", "object": "text_completion", "choices": [choice], "usage": usage})

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "tiny", "max_model_len": 8192}]})

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{listening.server_port}/v1"
    try:
        yield state
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def _chat(prompt: str) -> dict[str, Any]:
    found = list(_FENCED.finditer(prompt))
    question = set(re.findall(r"\w{4,}", prompt.rsplit("Question:", 1)[-1].lower()))
    lines = found[-1][1].splitlines() if found else []
    best = max(lines, key=lambda line: len(question & set(re.findall(r"\w{4,}", line.lower()))), default="")
    text = best if question & set(re.findall(r"\w{4,}", best.lower())) else "It is not stated."
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "model": "tiny", "choices": [choice], "usage": usage}
