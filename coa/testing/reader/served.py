"""The same prompts to a server and to transformers: is the reader that vLLM serves the one that was measured?"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

from coa.errors import ProviderUnavailable
from coa.testing.reader.documents import Mix
from coa.testing.reader.measures import Figure, questions
from coa.testing.reader.reading import Reading
from coa.testing.reader.tasks import plain

_SECONDS = 300


def same_text(reading: Reading, n: int, *, base_url: str) -> Figure:
    """Greedy answers of an OpenAI-compatible server that are letter for letter those of transformers.

    Raises:
        ProviderUnavailable: the server does not answer.
    """
    shape = [{"tokens": 300, "facts": 6}, {"tokens": 1000, "facts": 20}]
    asked = [pair for each in shape for pair in questions(n // len(shape), mix=Mix(), **each)]
    prompts = [plain(str(text), ask.question) for text, ask in asked]
    found = completions(base_url, prompts)
    return sum(a == b for a, b in zip(found, reading.answers(prompts), strict=True)), len(prompts)


def completions(base_url: str, prompts: Sequence[str], tokens: int = 48) -> list[str]:
    """Greedy completions from the first model of a server; ``base_url`` ends in ``/v1``."""
    model = _json(f"{base_url}/models")["data"][0]["id"]
    body = {"model": model, "prompt": list(prompts), "max_tokens": tokens, "temperature": 0}
    choices = sorted(_json(f"{base_url}/completions", body)["choices"], key=lambda choice: choice["index"])
    return [choice["text"].strip() for choice in choices]


def _json(url: str, body: dict[str, object] | None = None) -> dict[str, list[dict[str, str]]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:
            return json.load(reply)
    except OSError as error:
        raise ProviderUnavailable(f"{url!r}: {error}", hint="Serve the reader there, or leave --server away.") from None
