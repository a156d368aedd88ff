"""A real HTTP server whose ``/completions`` echoes its prompt with log-probabilities that follow a known rule.

A word of the answer is likely (-0.05 nats) when it stands in the text between the fences, unlikely (-4) when not.
``/chat/completions`` answers with the sentence of that text that shares most words with the question.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from coa.config import Settings
from tests.loopback import listening

_FENCED = re.compile(r"<<<TEXT \w+\n(.*)\nTEXT \w+>>>", re.DOTALL)
LIKELY, UNLIKELY = -0.05, -4.0


@dataclass
class EchoServer:
    """Address and what was sent to it."""

    url: str
    prompts: list[str] = field(default_factory=list[str])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    echo: bool = True
    chat_echo: bool = True


def rows(prompt: str, scored: str = "") -> tuple[list[str], list[float | None]]:
    """Tokens (words with the blank before them) and their log-probabilities."""
    tokens = re.findall(r"\s*\S+|\s+$", prompt) + re.findall(r"\s*\S+", scored)
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
            if self.path.endswith("/chat/completions") and "prompt_logprobs" not in body:
                state.asked.append(body)
                self._send(200, _chat(body))
                return
            if self.path.endswith("/chat/completions"):
                self._chat_echo(body)
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

        def _chat_echo(self, body: dict[str, Any]) -> None:
            if not (state.echo and state.chat_echo):
                self._send(400, {"error": {"message": "prompt_logprobs is not supported", "type": "BadRequestError"}})
                return
            *before, scored = (message["content"] for message in body["messages"])
            prompt = "\n\n".join(before) + "\n\nassistant:\n"
            state.prompts.append(prompt + scored)
            tokens, values = rows(prompt, scored)
            likely = [
                None if value is None else {"7": {"logprob": value, "rank": 1, "decoded_token": token}}
                for token, value in zip(tokens, values, strict=True)
            ]
            usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
            choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}
            self._send(200, {"id": "c", "choices": [choice], "prompt_logprobs": likely, "usage": usage})

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

    with listening(Handler) as state.url:
        yield state


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    """A worker's notes with a quote, a manager's answer, or a judgement, all from the text between the fences."""
    prompt = body["messages"][-1]["content"]
    found = list(_FENCED.finditer(prompt))
    shown = found[-1][1] if found else ""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    if body.get("top_logprobs"):
        statement = set(re.findall(r"\w+", prompt.rsplit("Statement:", 1)[-1].split("\n")[0].lower()))
        share = len(statement & set(re.findall(r"\w+", shown.lower()))) / max(1, len(statement))
        yes = min(0.999, max(0.001, share))
        likely = [{"token": " Yes", "logprob": math.log(yes)}, {"token": "no", "logprob": math.log(1 - yes)}]
        place = {"token": " Yes", "logprob": math.log(yes), "top_logprobs": likely}
        choice = {"index": 0, "message": {"role": "assistant", "content": " Yes"}, "logprobs": {"content": [place]}}
        return {"id": "c", "choices": [{**choice, "finish_reason": "length"}], "usage": usage}
    message = {"role": "assistant", "content": _said(prompt, shown)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "model": "tiny", "choices": [choice], "usage": usage}


def _said(prompt: str, shown: str) -> str:
    """The sentence of the text that shares most words with the question."""
    question = set(re.findall(r"\w{4,}", prompt.rsplit("Question:", 1)[-1].split("\n")[0].lower()))
    sentences = re.split(r"(?<=[.!?])\s+", shown)
    scored = [(len(question & set(re.findall(r"\w{4,}", each.lower()))), each.strip()) for each in sentences]
    best, sentence = max(scored, default=(0, ""))
    notes = re.search(r"Notes on the text before this part[^\n]*\n(.*?)\n\nQuestion:", prompt, re.DOTALL)
    if notes:
        before = "" if notes[1].strip() == "(none yet)" else notes[1].strip() + "\n"
        if best < 2:
            return before + "NO NEW INFORMATION" if not before else before.strip()
        return f"{before}It is told that {sentence.rstrip('.')} [[{sentence}]]."
    return sentence if best else "It is not stated."


@pytest.fixture
def given(tmp_path: Path, server: EchoServer) -> Settings:
    return Settings(run_dir=tmp_path / "runs", model="vllm:tiny", base_url=server.url, window=2048, topology="chain")
