"""Models that are named, not given as a folder: is the hub there at all?

The hub's own client asks for each file of a model six times, with pauses, before it gives up: over a minute for a name
that is spelt wrong where there is no network. One brief question beforehand spares that.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

_PATIENCE = 5.0


def only_from_cache(source: str) -> bool:
    """Whether a model is to be looked for in the hub's cache alone: no folder, and no hub to get it from.

    Args:
        source: A model's folder, or its name on the hub. ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` count as for the hub's
            own client.
    """
    if Path(source).exists():
        return False
    constants: Any = import_module("huggingface_hub.constants")
    return bool(constants.HF_HUB_OFFLINE) or not answers(constants.ENDPOINT)


def answers(address: str, patience: float = _PATIENCE) -> bool:
    """Whether a server answers, whatever it says; proxies of the environment are used.

    Args:
        address: Its URL.
        patience: Seconds to wait for a connection, and for a sign of life on it.
    """
    from http.client import HTTPException
    from ssl import SSLError
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=patience):
            return True
    except (HTTPError, HTTPException):
        return True
    except URLError as error:
        return isinstance(error.reason, SSLError)  # It is there; the hub's client may know its certificate.
    except OSError:
        return False
