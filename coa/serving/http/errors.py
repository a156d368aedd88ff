"""What a client gets when something goes wrong: OpenAI's error object, a status, and whether to come again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coa.errors import CoaError, LimitReached, ModelError, RunError, RunLocked
from coa.serving.http.statuses import status_of

_AGAIN = frozenset({409, 429})
_GONE_ON = "Finished calls are kept: the same request goes on where this one stopped"
_STORAGE = "the run directory of this server cannot be used"


class Refusal(CoaError):
    """A request that is refused before anything is read.

    Attributes:
        status: HTTP status.
        param: The field that is wrong, where it is one.
    """

    def __init__(self, status: int, code: str, message: str, *, hint: str, param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status, self.param, self._code = status, param, code

    @property
    def code(self) -> str:
        """A stable name for programs."""
        return self._code


def bad_field(param: str, message: str, hint: str) -> Refusal:
    """A 400 that names the field."""
    return Refusal(400, "UsageError", message, hint=hint, param=param)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as it is sent.

    Attributes:
        again: Whether the same request may do better in a moment. What a run has tried often enough already, no client
            should send again by itself.
    """

    status: int
    body: dict[str, Any]
    again: bool
    wait: float | None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """``x-should-retry`` is what OpenAI's own clients obey."""
        said = [(b"x-should-retry", b"true" if self.again else b"false")]
        if self.wait is not None:
            said.append((b"retry-after", str(int(self.wait) + 1).encode()))
        if self.status == 401:
            said.append((b"www-authenticate", b"Bearer"))
        return said


def failure_of(error: CoaError, private: Sequence[str] = ()) -> Failure:
    """The failure that an error is; ``private`` are texts of this machine, its paths and addresses, to be left out."""
    status = error.status if isinstance(error, Refusal) else status_of(error)
    message, hint = _told(error)
    for text in private:
        message = message.replace(text, "...")
    own = isinstance(error, Refusal | RunLocked)
    wait = error.retry_after if isinstance(error, ModelError) else 1.0 if own and status in _AGAIN else None
    whole = {
        "message": f"{message}. Hint: {hint}",
        "type": _type(status),
        "param": error.param if isinstance(error, Refusal) else None,
        "code": error.code,
    }
    return Failure(status=status, body={"error": whole}, again=own and status in _AGAIN, wait=wait)


def unexpected() -> Failure:
    """What is nobody's fault but ours; the server's log names it."""
    whole = {"message": "unexpected error. Hint: The server's log says more.", "type": "server_error"}
    return Failure(
        status=500, body={"error": {**whole, "param": None, "code": "InternalError"}}, again=False, wait=None
    )


def _told(error: CoaError) -> tuple[str, str]:
    """What happened and what helps, for somebody who cannot change this server's options or see its folders."""
    if isinstance(error, RunLocked):
        return "this very request is being answered", "Come again in a moment: the answer then costs nothing."
    if isinstance(error, RunError):
        return _STORAGE, "Whoever runs the server finds the reason in its log."
    if isinstance(error, LimitReached):
        return error.message, f"{_GONE_ON}, once whoever runs the server has raised the limit."
    if isinstance(error, ModelError):
        return error.message, f"{_GONE_ON}, once the model behind the server answers."
    return error.message, error.hint


def _type(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
