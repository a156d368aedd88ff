"""Typed errors as HTTP: the status is the library's, the body says what happened and what helps."""

from __future__ import annotations

from coa.errors import CoaError
from coa.serving.http.statuses import status_of

__all__ = ["body_of", "status_of"]


def body_of(error: CoaError) -> dict[str, str]:
    """What a client gets: a stable code, a sentence, a hint."""
    return {"error": error.code, "message": error.message, "hint": error.hint}
