"""From what a provider reports to `coa.errors`: one place decides what a failure means, for every client."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, cast

from coa.errors import (
    AuthenticationFailed,
    CallTimeout,
    ContextOverflow,
    MalformedReply,
    ModelError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RefusedReply,
    RequestRejected,
)
from coa.serving.overflow import overflow_in
from coa.serving.scrub import Scrubber

_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"})
_FILTERED = frozenset({"content_filter", "content_policy_violation", "ContentFilter"})
_TRANSIENT = frozenset({408, 409, 425})
_NEVER_OVERFLOW = frozenset({401, 402, 403, 404})
_WAIT = re.compile(r"(?:try again|retry) in (?:(\d+)m(?!s))?(?:([\d.]+)(ms|s))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The normalised facts of one failed request.

    Attributes:
        status: HTTP status; None where no response came.
        message: What the server, or the network, said.
        error: The error object of the body: ``code``, ``type``, ``param`` ...
        headers: Of the response, with names in lower case.
        timed_out: Whether the time was up before the response was whole.
        oversized: Whether it was longer than any answer to the request.
    """

    status: int | None = None
    message: str = ""
    error: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timed_out: bool = False
    oversized: bool = False


def failure_of(status: int, body: object, headers: Mapping[str, str]) -> Failure:
    """The facts of an HTTP error, whatever shape its body has."""
    error = _error_object(body)
    return Failure(status=status, message=_message(error, body), error=error, headers=headers)


def to_error(failure: Failure, *, model: str, scrubber: Scrubber, host: str | None = None) -> ModelError:
    """The error that a failure is. Its text holds neither the key nor the document.

    ``host`` is named where no response came from it.
    """
    said = scrubber.clean(failure.message)
    if failure.timed_out:
        return CallTimeout(f"{model}: {said or 'no whole reply in time'}")
    if failure.oversized:
        hint = (
            "What answers at --base-url sends without end; it is asked once more, and a part without a reply is listed."
        )
        return MalformedReply(f"{model}: {said}", hint=hint)
    if failure.status is None:
        there = f" at {host}" if host else ""
        return ProviderUnavailable(f"{model}{there}: {said or 'no connection'}")
    told = f"{model}: the server answered {failure.status}" + (f": {said}" if said else "")
    return _by_content(failure, told) or _by_status(failure, told)


def _by_content(failure: Failure, told: str) -> ModelError | None:
    status, error = failure.status, failure.error
    labels = {error.get("code"), error.get("type")}
    if status == 402 or labels & _QUOTA:
        return QuotaExceeded(told, status=status)
    if labels & _FILTERED:
        return RefusedReply(told, status=status, hint="A filter around the model declined the text; try another model.")
    overflow = None if status in _NEVER_OVERFLOW else overflow_in(failure.message, error)
    if overflow is not None:
        return ContextOverflow(told, status=status, limit=overflow.limit, actual=overflow.actual)
    return None


def _by_status(failure: Failure, told: str) -> ModelError:
    status = failure.status or 0
    if status in (401, 403):
        return AuthenticationFailed(told, status=status)
    if status == 429:
        return RateLimited(told, status=status, retry_after=_wait(failure))
    if status in _TRANSIENT or (status >= 500 and status != 501):
        return ProviderUnavailable(told, status=status, retry_after=_wait(failure))
    return RequestRejected(told, status=status, hint=_rejected_hint(status, failure.headers))


def _rejected_hint(status: int, headers: Mapping[str, str]) -> str | None:
    if 300 <= status < 400:
        there = headers.get("location", "another address")
        return f"It points to {there!r}, which is not followed; if you trust it, give it as --base-url."
    if status == 404:
        return "Check the model's name (--model) and the address (--base-url), which ends in /v1."
    return None


def _wait(failure: Failure) -> float | None:
    asked = retry_after(failure.headers)
    return asked if asked is not None else _wait_in(failure.message)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds that a response asks to wait; None where it does not say, or says nonsense.

    ``Retry-After`` may be a date: it is compared with the response's own ``Date``, so that the clocks of the two
    machines may differ.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    sent = _date(headers.get("date"))
    return max(0.0, until - (sent if sent is not None else time.time() if now is None else now))


def _wait_in(message: str) -> float | None:
    found = _WAIT.search(message[:2000])
    if found is None or not any(found.groups()):
        return None
    minutes, amount, unit = found.groups()
    rest = _seconds(amount) or 0.0
    return 60.0 * int(minutes or 0) + (rest / 1000 if unit == "ms" else rest)


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def _error_object(body: object) -> Mapping[str, object]:
    """The innermost error object: ``{"error": {...}}``, ``[{"error": {...}}]``, or the object itself."""
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    if not isinstance(body, Mapping):
        return {}
    found = cast("Mapping[str, object]", body)
    inner = found.get("error")
    return cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else found


def _message(error: Mapping[str, object], body: object) -> str:
    said: Any = next((error[name] for name in ("message", "detail", "error") if error.get(name)), body)
    if isinstance(said, str):
        return "an HTML page" if said.lstrip()[:1] == "<" else said
    return str(said) if said else ""
