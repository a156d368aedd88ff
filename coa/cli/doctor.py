"""`coa doctor`: what works here, and how to mend what does not."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from coa.config import Settings, config_path, default_run_dir
from coa.errors import CallTimeout, CoaError
from coa.serving.base import Message, Request

_PACKAGES = ("openai", "langgraph", "tiktoken", "pypdf", "litellm", "sentence-transformers", "torch")
_EXTRAS = {"litellm": "litellm", "sentence-transformers": "embeddings", "torch": "embeddings"}
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
_LITTLE_DISK_MB = 100
_PATIENCE = 30.0
"""Seconds that the model may take for a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``broken`` marks what keeps the configured setup from working."""

    subject: str
    state: str
    mend: str = ""
    broken: bool = False


def line_of(finding: Finding) -> str:
    """A finding for people to read."""
    told = f"{'problem' if finding.broken else 'ok':<8} {finding.subject:<22} {finding.state}\n"
    return told + (f"{'':<8} {'':<22} -> {finding.mend}\n" if finding.mend else "")


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at everything, the configured model last. Keys are reported as present or not, never shown."""
    yield Finding(subject="python", state=sys.version.split()[0])
    path = config_path()
    yield Finding(subject="config file", state=f"{path} ({'found' if path.exists() else 'none'})")
    for package in _PACKAGES:
        yield _package(package)
    for key in _KEYS:
        yield Finding(subject=key, state="set" if os.environ.get(key) else "not set")
    yield _tokenizer()
    yield _run_dir(settings)
    yield _model(settings)


def _package(name: str) -> Finding:
    try:
        return Finding(subject=name, state=version(name))
    except PackageNotFoundError:
        extra = _EXTRAS.get(name)
        mend = f"pip install 'chain-of-agents[{extra}]' if you need it" if extra else "pip install chain-of-agents"
        return Finding(subject=name, state="not installed", mend=mend, broken=extra is None)


def _tokenizer() -> Finding:
    from coa.tokens import vocabulary_at_hand

    if vocabulary_at_hand("o200k_base") is not None:
        return Finding(subject="tokenizer", state="tiktoken o200k_base is on this machine")
    return Finding(
        subject="tokenizer",
        state="no vocabulary on this machine: tokens are estimated, with a margin",
        mend="set TIKTOKEN_CACHE_DIR to a folder that holds it, or install the litellm extra, which carries one",
    )


def _run_dir(settings: Settings) -> Finding:
    from coa.runtime.files import private_directory

    folder = settings.run_dir or default_run_dir()
    try:
        private_directory(folder)
    except CoaError as error:
        return Finding(subject="run directory", state=error.message, mend=error.hint, broken=True)
    writable, free = os.access(folder, os.W_OK), shutil.disk_usage(folder).free // 2**20
    broken = not writable or free < _LITTLE_DISK_MB
    state = f"{folder}, {'writable' if writable else 'not writable'}, {free:,} MB free"
    return Finding(
        subject="run directory", state=state, mend="choose another --run-dir" if broken else "", broken=broken
    )


def _model(settings: Settings) -> Finding:
    from coa.serving.resolve import resolve_model

    try:
        model = resolve_model(settings)
        if model.name == "offline":
            return Finding(
                subject="model", state="offline (extractive, no language model)", mend="name one with --model"
            )
        state = asyncio.run(_probe(settings))
    except CoaError as error:
        return Finding(subject="model", state=error.message, mend=error.hint, broken=True)
    return Finding(subject="model", state=state)


async def _probe(settings: Settings) -> str:
    """One request of a few tokens: the only thing here that may cost something, and only for a model that was named."""
    from coa.serving.resolve import resolve_model

    model, seconds = resolve_model(settings), min(_PATIENCE, settings.timeout)
    try:
        hello = (Message(role="user", content="Say OK."),)
        async with asyncio.timeout(seconds):
            reply = await model.complete(Request(messages=hello, role="doctor", max_tokens=16))
    except TimeoutError:
        raise CallTimeout(f"{model.name} does not answer within {seconds:g} s") from None
    finally:
        await model.close()
    return (
        f"{model.name} answers as {reply.model!r}; window {model.window:,} tokens, counted with {model.counter.label}"
    )
