"""Profiles of the launcher, as data: what vLLM is told, and what our plug-in is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coa.errors import UsageError
from coa.serving.sparse.config import KNOBS, SparseConfig
from coa.serving.sparse.heads import title_of

HEADS_FILE = "full_attention_heads.tsv"
THRESHOLDS_FILE = "xattention_thresholds.tsv"
"""Tables of these names in the model's folder are found by themselves."""
_OF_TABLE = ("tau", "block", "stride")
"""What a table of thresholds holds for: who sets one of these by hand wants no table that was found by itself."""

_ALWAYS = ("--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-chunked-prefill")
# What XAttention keeps depends on where its blocks of queries begin: with pieces and cached prefixes in whole blocks,
# a prompt that is read again, from the cache or not, is read alike.
_PIECES = ("--max-num-batched-tokens", "8192", "--block-size", "128")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Arguments for vLLM, and the sparse method; None runs vLLM as it comes."""

    arguments: tuple[str, ...] = _ALWAYS
    sparse: SparseConfig | None = None


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "dense": Profile(),
        "xattention": Profile(arguments=(*_ALWAYS, *_PIECES), sparse=SparseConfig(method="xattention")),
        "streaming": Profile(sparse=SparseConfig(method="streaming")),
        "quest": Profile(sparse=SparseConfig(method="quest")),
        "lserve": Profile(arguments=(*_ALWAYS, *_PIECES), sparse=SparseConfig(method="lserve")),
    }
)


def sparse_for(
    profile: str,
    model: str,
    heads: Path | None = None,
    thresholds: Path | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> SparseConfig | None:
    """The profile's sparse method for this model, with the tables that it needs; None for ``dense``.

    Args:
        profile: Its name.
        model: The model's folder, or its name on a hub.
        heads: A table of heads; default is the one in the model's folder.
        thresholds: A table of thresholds; default is the one in the model's folder, where no setting says otherwise.
        settings: In place of the profile's own, by name.

    Raises:
        UsageError: no such profile, a setting that its method does not look at or that makes no sense, or heads shall
            stream and nobody says which.
    """
    if profile not in PROFILES:
        raise UsageError(f"the profile {profile!r} is unknown", hint=f"Choose one of: {', '.join(PROFILES)}.")
    config = PROFILES[profile].sparse
    known = KNOBS[config.method] if config is not None else ()
    for name in (*settings, *(("tau",) if thresholds else ())):
        if name not in known:
            hint = f"It has: {', '.join(known)}." if known else "Give a sparse --profile."
            raise UsageError(f"the profile {profile!r} has no {name!r} to set", hint=hint)
    if config is None:
        return None
    told = _thresholds(config, model, thresholds, settings)
    return replace(config, heads_file=_heads(config, model, heads, settings), **(told | dict(settings)))


def _heads(config: SparseConfig, model: str, given: Path | None, settings: Mapping[str, Any]) -> str | None:
    """The table of heads that a method with streaming heads goes by; None where all heads stream, or none do."""
    if "streaming_share" not in KNOBS[config.method]:
        return None
    found = given or _beside(model, HEADS_FILE)
    if found is None and (config.method == "lserve" or "streaming_share" in settings):
        raise UsageError(
            f"which heads of {model!r} may stream is not known",
            hint="Give a table with --heads FILE (published ones are named full_attention_heads.tsv).",
        )
    return str(found.resolve()) if found else None


def _thresholds(
    config: SparseConfig, model: str, given: Path | None, settings: Mapping[str, Any]
) -> dict[str, str | int]:
    """The table of thresholds, and the blocks that it holds for; nothing where one threshold serves all heads."""
    if "tau" not in KNOBS[config.method] or (given is None and not settings.keys().isdisjoint(_OF_TABLE)):
        return {}
    found = given or _beside(model, THRESHOLDS_FILE)
    if found is None:
        return {}
    blocks = {name: size for name, size in title_of(found).items() if name in _OF_TABLE}
    return {"thresholds_file": str(found.resolve()), **blocks}


def _beside(model: str, name: str) -> Path | None:
    found = Path(model).expanduser() / name
    return found if found.is_file() else None
