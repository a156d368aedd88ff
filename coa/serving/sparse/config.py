"""One sparse method with its settings, as data that travels through an environment variable or a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from coa.errors import UsageError

Method = Literal["dense", "xattention", "streaming", "quest", "lserve"]
_PREFILL, _HEADS, _DECODE = ("tau", "stride", "block"), ("sink", "recent", "streaming_share"), ("budget", "page")
KNOBS: Mapping[Method, tuple[str, ...]] = MappingProxyType(
    {
        "dense": (),
        "xattention": _PREFILL,
        "streaming": _HEADS,
        "quest": (*_DECODE, "dense_layers"),
        "lserve": (*_PREFILL, *_HEADS, *_DECODE, "dense_layers"),
    }
)
"""The settings that each method looks at."""
GPU_HEAD_SIZES = (32, 64, 128)
"""Widths of heads that the kernels know: powers of two; with 256 a block fits into the shared memory of no GPU."""
GPU_BLOCKS = (16, 32, 64, 128)
"""Sizes of blocks that they know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseConfig:
    """A method and its settings.

    Attributes:
        method: ``xattention`` skips blocks in prefill, ``quest`` pages in decode, ``streaming`` everything between the
            first and the last tokens for the heads that do without; ``lserve`` is all three together.
        tau: XAttention: share of the estimated attention that the kept blocks must hold; 1 keeps everything.
        stride: XAttention: one in so many antidiagonals is looked at.
        block: Tokens a side of the blocks that prefill keeps or skips.
        sink: Streaming heads: first tokens that are always seen.
        recent: Streaming heads: last tokens that are always seen, the query's own among them.
        budget: Quest: tokens a query may see in decode, in all.
        page: Quest: tokens a page.
        streaming_share: Share of key-value heads that stream where no head table is given.
        thresholds_file: A table of thresholds, in place of one ``tau`` for all heads.
        heads_file: A table of published or measured head scores (``full_attention_heads.tsv``).
        dense_layers: First layers that stay dense in decode.
    """

    method: Method = "dense"
    tau: float = 0.9
    stride: int = 16
    block: int = 128
    sink: int = 64
    recent: int = 256
    budget: int = 4096
    page: int = 16
    streaming_share: float = 0.5
    thresholds_file: str | None = None
    heads_file: str | None = None
    dense_layers: int = 2

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise UsageError(f"unknown sparse method {self.method!r}", hint=f"Choose one of {get_args(Method)}.")
        if not 0 < self.tau <= 1:
            raise UsageError(f"tau is {self.tau!r}", hint="It is a share: more than 0 and at most 1.")
        if not 0 <= self.streaming_share <= 1:
            raise UsageError(f"the share of streaming heads is {self.streaming_share!r}", hint="Give 0 to 1.")
        for name in ("stride", "block", "recent", "budget", "page"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)!r}", hint="Give a positive number of tokens.")
        if self.block % self.stride or self.block % self.page:
            raise UsageError(
                f"blocks of {self.block} tokens do not divide into strides of {self.stride} and pages of {self.page}",
                hint="Choose a stride and a page that divide the block.",
            )

    @property
    def settings(self) -> str:
        """What the method goes by, as it is shown to people: ``tau=0.9 stride=16 block=128``."""
        said = {name: getattr(self, name) for name in KNOBS[self.method]}
        if not self.heads_file:
            said.pop("streaming_share", None)
        if self.thresholds_file and "tau" in said:
            said["tau"] = Path(self.thresholds_file).name
        return " ".join(f"{name}={value}" for name, value in said.items())

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SparseConfig:
        """Read what `to_json` wrote.

        Raises:
            UsageError: it is no JSON object, or has a setting that does not exist.
        """
        try:
            found: Any = json.loads(text)
        except ValueError:
            found = None
        known = {field.name for field in fields(cls)}
        if not isinstance(found, dict) or not known.issuperset(found):  # pyright: ignore[reportUnknownArgumentType]
            raise UsageError(
                f"not a sparse configuration: {text!r}", hint=f"A JSON object with some of {sorted(known)}."
            )
        return cls(**found)  # pyright: ignore[reportUnknownArgumentType]


def check_block(block: int) -> None:
    """Whether the kernels know blocks of that size.

    Raises:
        UsageError: they do not.
    """
    if block not in GPU_BLOCKS:
        raise UsageError(
            f"on a GPU no blocks of {block} tokens can be read",
            hint=f"Choose one of {', '.join(map(str, GPU_BLOCKS))}.",
        )
