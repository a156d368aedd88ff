"""Ask a server what it really is: health, model, window, version, prefix cache. Over plain HTTP, nothing installed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from coa.errors import ProviderUnavailable, UsageError
from coa.serving.bodies import Oversized, read_page

KEY_VARIABLE = "VLLM_API_KEY"
"""vLLM's own variable for the key that it asks for."""

_SECONDS = 5.0
_PATIENCE = 120.0
_SPARSE = re.compile(r"^coa_sparse_attention_(calls|density)\{([^}]*)\} ([\d.e+-]+)$", re.MULTILINE)
_CACHE = re.compile(r"^vllm:cache_config_info\{([^}]*)\}", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_METRIC = re.compile(r"^vllm:prefix_cache_(queries|hits)(?:_total)?(?:\{[^}]*\})? ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a server said.

    Attributes:
        window: Prompt and reply together, in tokens; None where it does not say.
        version: Of vLLM; None for another server.
        caching: Whether prompts are kept for others that begin alike, in blocks of ``block`` tokens; None where it does
            not say.
        prefix_queries: Prompt tokens looked up in the prefix cache so far, of which ``prefix_hits`` were there.
        attention: The sparse method that really ran, by the count of our plug-in; None where it never did.
        settings: What that method goes by, as `SparseConfig.settings` says it.
        density: Share of the keys that it looked at.
    """

    url: str
    models: tuple[str, ...]
    window: int | None
    version: str | None
    prefix_queries: float | None
    prefix_hits: float | None
    caching: bool | None = None
    block: int | None = None
    attention: str | None = None
    settings: str = ""
    density: float | None = None

    @property
    def computes(self) -> str:
        """The attention that ran, for people: the method and what it goes by."""
        return f"{self.attention} ({self.settings})" if self.settings else self.attention or "dense"


def healthy(url: str) -> bool:
    """Whether the server says that it is ready."""
    try:
        _get(_root(url) + "/health")
    except ProviderUnavailable:
        return False
    return True


def probe(url: str, key: str | None = None) -> Findings:
    """Ask a server about itself.

    Args:
        url: Its address; a path behind it is left out.
        key: The key that it asks for.

    Raises:
        ProviderUnavailable: nobody answers there, or not as an OpenAI-compatible server does.
        UsageError: that is no address.
    """
    root = _root(url)
    listed = _json(_get(_request(f"{root}/v1/models", key)), root)
    entries = [
        cast("dict[str, Any]", item) for item in cast("list[Any]", listed.get("data") or []) if isinstance(item, dict)
    ]
    window = next((item["max_model_len"] for item in entries if isinstance(item.get("max_model_len"), int)), None)
    text = _optional(f"{root}/metrics")
    metrics = {name: float(value) for name, value in _METRIC.findall(text)}
    sparse = {name: (dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _SPARSE.findall(text)}
    described = _CACHE.search(text)
    cache = dict(_LABEL.findall(described[1])) if described else {}
    ran, calls = sparse.get("calls", ({}, 0.0))
    version = _optional(f"{root}/version")
    return Findings(
        url=root,
        models=tuple(str(item.get("id")) for item in entries),
        window=window,
        version=str(_json(version, root).get("version")) if version else None,
        prefix_queries=metrics.get("queries"),
        prefix_hits=metrics.get("hits"),
        caching=_caching(cache),
        block=int(cache["block_size"]) if cache.get("block_size", "").isdigit() else None,
        attention=ran.get("method") if calls else None,
        settings=ran.get("settings", "") if calls else "",
        density=sparse["density"][1] if calls and "density" in sparse else None,
    )


def ask(url: str, path: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Post a JSON object to a path and return the one that comes back.

    Raises:
        ProviderUnavailable: it answers with an error, or with something else.
    """
    root = _root(url)
    return _json(_get(_request(f"{root}{path}", key, json.dumps(body).encode()), _PATIENCE), root)


def _request(url: str, key: str | None, body: bytes | None = None) -> Request:
    headers = {"Content-Type": "application/json"} if body else {}
    return Request(url, data=body, headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}))


def _caching(labels: dict[str, str]) -> bool | None:
    said = labels.get("enable_prefix_caching")
    return None if said is None else said == "True"


def _root(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{url!r} is no address of a server", hint="Give it as http://HOST:PORT.")
    return f"{parts.scheme}://{parts.netloc}"


class _Here(HTTPRedirectHandler):
    """Follows no redirect: a server is asked about itself."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Nothing to ask next: the status is an error."""


def _get(asked: str | Request, seconds: float = _SECONDS) -> str:
    # The scheme was checked in `_root`; a proxy of the environment has no business between here and there.
    try:
        with build_opener(ProxyHandler({}), _Here()).open(asked, timeout=seconds) as response:
            return read_page(response, seconds).decode("utf-8", "replace")
    except (URLError, HTTPException, OSError, Oversized) as error:
        url = asked if isinstance(asked, str) else asked.full_url
        raise ProviderUnavailable(
            f"{url} does not answer ({error})", hint="Check the address, and that a server runs there: coa vllm MODEL."
        ) from None


def _optional(url: str) -> str:
    try:
        return _get(url)
    except ProviderUnavailable:
        return ""


def _json(text: str, root: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderUnavailable(f"{root} answers, but not as an OpenAI-compatible server")
    return cast("dict[str, Any]", value)
