"""The one door to qdrant-client: where the server is, and what its errors mean."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coa.errors import MissingExtra, StorageFailed, UsageError

SCHEMES = ("qdrant", "qdrants", "qdrant-local")
_PORT = 6333
_SECONDS = 60


class Client:
    """A client whose failures are `StorageFailed`.

    Args:
        address: ``qdrant://HOST[:PORT]/NAME``, ``qdrants://`` for TLS, or ``qdrant-local:FOLDER``. The key is read from
            ``QDRANT_API_KEY``, and sent over TLS or to this machine alone.

    Raises:
        MissingExtra: qdrant-client is not installed.
        UsageError: the address is none.
        StorageFailed: the server cannot be reached, or another process has the folder.
    """

    def __init__(self, address: str) -> None:
        if find_spec("qdrant_client") is None:
            raise MissingExtra("Qdrant needs qdrant-client", hint="pip install 'chain-of-agents[qdrant]'")
        scheme, _, rest = address.partition(":")
        self.local = scheme == "qdrant-local"
        self.name = "coa" if self.local else _name(address)
        # qdrant-client's types need the package: it is handled as Any here and in its store.
        module: Any = import_module("qdrant_client")
        self.models: Any = import_module("qdrant_client.models")
        try:
            self._client: Any = (
                module.QdrantClient(path=_folder(rest)) if self.local else module.QdrantClient(**_server(address))
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise StorageFailed(f"Qdrant's folder cannot be used: {error}", hint=_HINT_LOCAL) from None

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the client."""
        errors: Any = import_module("qdrant_client.http.exceptions")
        try:
            return getattr(self._client, method)(**arguments)
        except errors.ResponseHandlingException as error:
            raise StorageFailed(f"Qdrant cannot be reached: {error}", hint=_HINT_SERVER) from None
        except errors.UnexpectedResponse as error:
            raise StorageFailed(f"Qdrant refused {method}: {str(error)[:200]}", hint=_HINT_SERVER) from None
        except OSError as error:
            raise StorageFailed(f"Qdrant's storage cannot be used: {error}", hint=_HINT_LOCAL) from None

    def close(self) -> None:
        """Release the connection, or the folder."""
        self._client.close()


_HINT_SERVER = "Check that the server runs, its address, and QDRANT_API_KEY (sent with qdrants:// alone)."
_HINT_LOCAL = "One process at a time may use a local folder; for more, run a Qdrant server: qdrant://HOST/NAME."


def _name(address: str) -> str:
    name = urlsplit(address).path.strip("/")
    if not name or "/" in name:
        raise UsageError(f"{address!r} names no collection", hint="Write qdrant://HOST:6333/NAME.")
    return name


def _server(address: str) -> dict[str, Any]:
    parts = urlsplit(address)
    try:
        port = parts.port or _PORT
    except ValueError:
        raise UsageError(f"{address!r} has no port", hint="Write qdrant://HOST:6333/NAME.") from None
    if not parts.hostname:
        raise UsageError(f"{address!r} names no host", hint="Write qdrant://HOST:6333/NAME.")
    secure = parts.scheme == "qdrants"
    return {
        "host": parts.hostname,
        "port": port,
        "https": secure,
        "api_key": os.environ.get("QDRANT_API_KEY") if secure or parts.hostname in ("localhost", "127.0.0.1") else None,
        "timeout": _SECONDS,
        "check_compatibility": False,
    }


def _folder(path: str) -> str:
    Path(path).mkdir(parents=True, exist_ok=True)
    return path
