"""Read, question and summarise documents that are longer than a model's window.

    import coa

    answer = coa.ask("book.txt", "Who hid the letter?", model="openai:gpt-5-mini")
    print(answer.text)

Importing this package loads no model client, no LangGraph and no numerics: each comes with its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coa import aio, errors, events, stream, testing
    from coa.aggregation.query import Query
    from coa.aggregation.run import Aggregation
    from coa.attribution.trace import Trace, TraceOptions
    from coa.blocking import (
        aggregate,
        ask,
        complete,
        index,
        load,
        plan,
        resume,
        summarize,
        trace,
        trace_run,
        verify,
        verify_pair,
        write,
    )
    from coa.config import Settings
    from coa.documents import Document, Limits
    from coa.errors import CoaError
    from coa.forecast import Plan
    from coa.serving.base import Message, Model, Reply, Request
    from coa.types import Answer, Choice, Chunk, Citation, Coverage, Place, Source, Span, Task, Unread, Usage
    from coa.verification import Pair, Verification

__version__ = "0.1.0"

__all__ = [
    "Aggregation",
    "Answer",
    "Choice",
    "Chunk",
    "Citation",
    "CoaError",
    "Coverage",
    "Document",
    "Limits",
    "Message",
    "Model",
    "Pair",
    "Place",
    "Plan",
    "Query",
    "Reply",
    "Request",
    "Settings",
    "Source",
    "Span",
    "Task",
    "Trace",
    "TraceOptions",
    "Unread",
    "Usage",
    "Verification",
    "aggregate",
    "aio",
    "ask",
    "complete",
    "errors",
    "events",
    "index",
    "load",
    "plan",
    "resume",
    "stream",
    "summarize",
    "testing",
    "trace",
    "trace_run",
    "verify",
    "verify_pair",
    "write",
]

_HOMES = {
    "coa.blocking": (
        "aggregate",
        "ask",
        "complete",
        "index",
        "load",
        "plan",
        "resume",
        "summarize",
        "trace",
        "trace_run",
        "verify",
        "verify_pair",
        "write",
    ),
    "coa.aggregation.query": ("Query",),
    "coa.aggregation.run": ("Aggregation",),
    "coa.attribution.trace": ("Trace", "TraceOptions"),
    "coa.config": ("Settings",),
    "coa.documents": ("Document", "Limits"),
    "coa.errors": ("CoaError",),
    "coa.forecast": ("Plan",),
    "coa.serving.base": ("Message", "Model", "Reply", "Request"),
    "coa.types": (
        "Answer",
        "Choice",
        "Chunk",
        "Citation",
        "Coverage",
        "Place",
        "Source",
        "Span",
        "Task",
        "Unread",
        "Usage",
    ),
    "coa.verification": ("Pair", "Verification"),
}
_MODULES = ("aio", "errors", "events", "stream", "testing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"coa.{name}")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'coa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
