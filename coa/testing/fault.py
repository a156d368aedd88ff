"""`Fault`: what a fault server does to one request. And the usual ones by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

End = Literal["keep", "close", "reset", "hang"]
StreamFault = Literal["no_done", "no_finish", "error_event", "bad_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a response differs from a healthy one. ``Fault()`` is a healthy response.

    Attributes:
        status: HTTP status; anything but 200 sends an error object unless ``body`` is given.
        headers: More response headers.
        message: Text of the error object.
        code: Its ``code``.
        error: More fields of it.
        body: Sent instead of everything else, as it is.
        delay: Seconds before the first byte.
        head_delay: Seconds between the status line and the other headers.
        trickle: Seconds between one byte of the body and the next.
        cut: Bytes of the body after which ``end`` happens; None lets the whole body through.
        end: What happens then: the connection is kept, closed (FIN), reset (RST) or left hanging.
        clean: Whether a cut response claims to be whole: its declared length is that of the cut body, and a
            stream is ended as the protocol asks.
        completion: Fields that replace those of the completion, such as ``{"choices": []}``.
        choice: Fields that replace those of the choice, such as ``{"finish_reason": "length"}``.
        message_fields: Fields that replace those of the reply's message, such as ``{"content": None}``.
        stream: What goes wrong in a streamed reply.
        endless: Whether the body never ends: blanks follow it, or, in a stream, the same text again and again.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = "a fault was injected"
    code: str | int | None = None
    error: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: str | bytes | None = None
    delay: float = 0.0
    head_delay: float = 0.0
    trickle: float = 0.0
    cut: int | None = None
    end: End = "keep"
    clean: bool = False
    completion: Mapping[str, Any] = field(default_factory=dict[str, Any])
    choice: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message_fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stream: StreamFault | None = None
    endless: bool = False


def rate_limited(retry_after: str | None = None) -> Fault:
    """429, with ``Retry-After`` as it is given: seconds, a date, or nonsense."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fault(status=429, headers=headers, message="Rate limit reached.", code="rate_limit_exceeded")


_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_HTML = MappingProxyType({"Content-Type": "text/html"})

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "healthy": Fault(),
        "429": rate_limited(),
        "quota": Fault(status=429, message="You exceeded your current quota.", code="insufficient_quota"),
        "400": Fault(status=400, message="The request is malformed."),
        "401": Fault(status=401, message="Incorrect API key provided.", code="invalid_api_key"),
        "403": Fault(status=403, message="The key may not use this model."),
        "404": Fault(status=404, message="The model does not exist.", code="model_not_found"),
        "408": Fault(status=408),
        "409": Fault(status=409),
        "500": Fault(status=500, message="The server had an error."),
        "501": Fault(status=501, message="Not implemented."),
        "502": Fault(status=502, headers=_HTML, body=_PAGE),
        "503": Fault(status=503, message="The engine is overloaded."),
        "529": Fault(status=529, message="Overloaded."),
        "html": Fault(headers=_HTML, body=_PAGE),
        "cut-json": Fault(cut=60, clean=True),
        "short-body": Fault(cut=60, end="close"),
        "reset": Fault(cut=0, end="reset"),
        "reset-body": Fault(cut=60, end="reset"),
        "close": Fault(cut=0, end="close"),
        "hang": Fault(cut=0, end="hang"),
        "hang-body": Fault(cut=60, end="hang"),
        "trickle": Fault(trickle=0.25),
        "slow-headers": Fault(head_delay=60.0),
        "length": Fault(choice={"finish_reason": "length"}),
        "no-finish": Fault(choice={"finish_reason": None}),
        "filter": Fault(choice={"finish_reason": "content_filter"}, message_fields={"content": ""}),
        "filter-400": Fault(status=400, message="The prompt was filtered.", code="content_filter"),
        "refusal": Fault(message_fields={"content": None, "refusal": "I cannot help with that."}),
        "empty": Fault(message_fields={"content": ""}),
        "none": Fault(message_fields={"content": None}),
        "blank": Fault(message_fields={"content": " \n\t "}),
        "reasoning-only": Fault(message_fields={"content": None, "reasoning_content": "Let me think about it."}),
        "no-choices": Fault(completion={"choices": []}),
        "no-usage": Fault(completion={"usage": None}),
        "endless": Fault(endless=True),
        "endless-500": Fault(status=500, endless=True),
        "error-200": Fault(body='{"error": {"message": "The upstream provider failed.", "code": 503}}'),
    }
)
"""The usual faults by name, for scripts and for ``python -m coa.testing.faults --fault NAME``."""

TRANSIENT: tuple[Fault, ...] = tuple(
    FAULTS[name] for name in ("429", "500", "502", "503", "529", "short-body", "reset", "close")
)
"""Faults that pass when the request is sent again: the default choice of a random fault rate."""
