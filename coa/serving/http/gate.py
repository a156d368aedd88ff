"""Who may ask, and how many at once."""

from __future__ import annotations

import hmac
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from coa.serving.http.errors import Refusal

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_key(headers: Mapping[str, str], keys: Sequence[str]) -> None:
    """Compare the bearer key with all that are good, in a time that tells nothing.

    Raises:
        Refusal: it is none of them.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    found = [hmac.compare_digest(given.strip().encode("latin-1"), key.encode()) for key in keys]
    if keys and not (any(found) and scheme.lower() == "bearer"):
        hint = "Send a key of this server: Authorization: Bearer KEY"
        raise Refusal(401, "InvalidKey", "the key is missing or wrong", hint=hint)


def check_host(headers: Mapping[str, str], hosts: Sequence[str]) -> None:
    """Refuse requests to a name that is not ours: a page in a browser may have had its own pointed at this machine.

    Raises:
        Refusal: the name is another.
    """
    name = headers.get("host", "")
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if hosts and name.lower() not in hosts:
        hint = f"Ask for one of {', '.join(hosts)}."
        raise Refusal(403, "WrongHost", f"this server does not go by the name {name!r}", hint=hint)


def check_type(headers: Mapping[str, str]) -> None:
    """JSON must be called so: without it, any page in a browser could send a form here.

    Raises:
        Refusal: it is called something else.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "NotJSON", "the body is not said to be JSON", hint="Send Content-Type: application/json")


class Places:
    """So many requests at once; one more is refused, with the advice to come again."""

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def taken(self) -> Generator[None]:
        """Hold a place.

        Raises:
            Refusal: there is none.
        """
        if self._left < 1:
            hint = "Come again in a moment; whoever runs the server can raise --requests."
            raise Refusal(429, "TooManyRequests", "this server answers as many requests as it may", hint=hint)
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1
