"""From ``--model`` to a model: one line here adds a provider, an entry point adds one from another package."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

from coa.config import Settings
from coa.errors import UsageError
from coa.serving.base import Model

Build = Callable[[str, Settings, Mapping[str, str]], Model]
"""Builds a model from what stands after the colon, the settings and the environment."""

ENTRY_POINTS = "coa.models"
VLLM_URL = "http://127.0.0.1:8000/v1"


def _offline(name: str, settings: Settings, _: Mapping[str, str]) -> Model:
    from coa.retrieval.embedders import resolve_embedder
    from coa.serving.offline import OfflineModel
    from coa.serving.offline.model import WINDOW

    return OfflineModel(settings.window or WINDOW, embedder=resolve_embedder(name) if name else None)


def _openai(name: str, settings: Settings, env: Mapping[str, str]) -> Model:
    from coa.serving.openai import OpenAIModel

    return OpenAIModel(
        name,
        base_url=settings.base_url or env.get("OPENAI_BASE_URL"),
        api_key=env.get("OPENAI_API_KEY"),
        window=settings.window,
        timeout=settings.timeout,
    )


def _vllm(name: str, settings: Settings, env: Mapping[str, str]) -> Model:
    """Never with ``OPENAI_API_KEY``: that one is not this server's business."""
    from coa.serving.openai import NO_KEY, OpenAIModel

    return OpenAIModel(
        name,
        base_url=settings.base_url or VLLM_URL,
        api_key=env.get("VLLM_API_KEY") or NO_KEY,
        window=settings.window,
        timeout=settings.timeout,
        provider="vllm",
    )


def _litellm(name: str, settings: Settings, _: Mapping[str, str]) -> Model:
    from coa.serving.litellm import LiteLLMModel

    return LiteLLMModel(name, base_url=settings.base_url, window=settings.window, timeout=settings.timeout)


def _scripted(name: str, settings: Settings, _: Mapping[str, str]) -> Model:
    from coa.testing.scripted import load_script

    return load_script(name, window=settings.window)


def _reader(name: str, settings: Settings, _: Mapping[str, str]) -> Model:
    from coa.testing.reader.local import WINDOW, ReaderModel

    return ReaderModel(Path(name) if name else None, window=settings.window or WINDOW)


PROVIDERS: Mapping[str, Build] = MappingProxyType(
    {
        "offline": _offline,
        "openai": _openai,
        "vllm": _vllm,
        "litellm": _litellm,
        "scripted": _scripted,
        "reader": _reader,
    }
)
_NAMELESS = frozenset({"offline", "reader"})


def resolve_model(settings: Settings, env: Mapping[str, str] = os.environ) -> Model:
    """The model that the settings name; without a name it is the offline engine. Nothing is sent yet.

    Raises:
        UsageError: no such provider, or a name is missing or superfluous.
        MissingExtra: the provider's package is not installed.
    """
    provider, _, name = (settings.model or "offline").strip().partition(":")
    build = PROVIDERS.get(provider) or _from_entry_point(provider)
    if build is None:
        raise UsageError(f"{settings.model!r} names no known kind of model", hint=_forms())
    if provider in PROVIDERS and not name.strip() and provider not in _NAMELESS:
        raise UsageError(f"{settings.model!r} lacks the model's name", hint=_forms())
    return build(name.strip(), settings, env)


def resolve_fallbacks(settings: Settings, env: Mapping[str, str] = os.environ) -> tuple[Model, ...]:
    """The models that take over; ``base_url`` is for those of the first model's provider only.

    Raises:
        UsageError: as `resolve_model`.
    """
    provider = (settings.model or "offline").partition(":")[0]
    return tuple(
        resolve_model(
            settings.model_copy(
                update={
                    "model": name,
                    "base_url": settings.base_url if name.partition(":")[0] == provider else None,
                }
            ),
            env,
        )
        for name in settings.fallback
    )


def _from_entry_point(provider: str) -> Build | None:
    found = next(iter(entry_points(group=ENTRY_POINTS, name=provider)), None)
    return found.load() if found else None


def _forms() -> str:
    others = sorted({found.name for found in entry_points(group=ENTRY_POINTS)} - set(PROVIDERS))
    known = [
        "offline",
        "offline:EMBEDDER",
        "openai:NAME",
        "vllm:NAME",
        "litellm:PROVIDER/NAME",
        "scripted:FILE",
        "reader",
    ]
    return f"Give one of {', '.join([*known, *(f'{name}:NAME' for name in others)])}."
