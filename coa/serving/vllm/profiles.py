"""Profiles of the launcher, as data: what vLLM is told, and what our plug-in is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from coa.errors import UsageError
from coa.serving.sparse.config import SparseConfig

HEADS_FILE = "full_attention_heads.tsv"
"""A table of heads of this name in the model's folder is found by itself."""

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


def sparse_for(profile: str, model: str, heads: Path | None) -> SparseConfig | None:
    """The profile's sparse method for this model, with its table of heads where it needs one.

    Args:
        profile: Its name.
        model: The model's folder, or its name on a hub.
        heads: A table of heads; default is the one in the model's folder.

    Raises:
        UsageError: no such profile, or half of the heads shall stream and nobody says which.
    """
    if profile not in PROFILES:
        raise UsageError(f"the profile {profile!r} is unknown", hint=f"Choose one of: {', '.join(PROFILES)}.")
    config = PROFILES[profile].sparse
    if config is None or config.method not in ("streaming", "lserve"):
        return config
    beside = Path(model).expanduser() / HEADS_FILE
    found = heads or (beside if beside.is_file() else None)
    if found is not None:
        return replace(config, heads_file=str(found.resolve()))
    if config.method == "lserve":
        raise UsageError(
            f"which heads of {model!r} may stream is not known",
            hint="Give a table with --heads FILE (published ones are named full_attention_heads.tsv).",
        )
    return config
