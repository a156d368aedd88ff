"""Typed errors as HTTP statuses: the first class that fits gives the status."""

from __future__ import annotations

from coa import errors

STATUSES: tuple[tuple[type[errors.CoaError], int], ...] = (
    (errors.MissingExtra, 501),
    (errors.UsageError, 400),
    (errors.InputNotFound, 404),
    (errors.InputTooLarge, 413),
    (errors.UnsupportedFormat, 415),
    (errors.UnusableIndex, 500),
    (errors.InputError, 422),
    (errors.BudgetExceeded, 402),
    (errors.DeadlineExceeded, 504),
    (errors.RunLocked, 409),
    (errors.StorageFailed, 507),
    (errors.RateLimited, 429),
    (errors.CallTimeout, 504),
    (errors.ModelError, 502),
)


def status_of(error: errors.CoaError) -> int:
    """The HTTP status of an error; 500 where no other fits."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
