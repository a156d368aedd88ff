"""Long encoders by name: the table in ``encoders.toml``, checked."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """How an embedding model wants its texts, and where it is.

    Attributes:
        model: Its name on the hub, or on the server.
        window: Tokens that it reads.
        dimensions: Length of a vector.
        pooling: How it makes one vector of many states: ``mean``, ``cls``, ``last``, or ``server``.
        query: What stands before a query.
        passage: What stands before a passage.
        url: Of a server that runs it, ending in ``/v1``; empty where it runs here.
        key: The environment variable with the server's key.
        remote_code: Whether the model brings code of its own, which loading it runs.
    """

    model: str
    window: int
    dimensions: int
    pooling: str
    query: str = ""
    passage: str = ""
    url: str = ""
    key: str = ""
    remote_code: bool = False

    @property
    def mark(self) -> str:
        """Tells vectors with these prefixes from those with others; empty where there are none."""
        if not self.query and not self.passage:
            return ""
        return ":" + hashlib.sha256(f"{self.query}\0{self.passage}".encode()).hexdigest()[:8]


class _Encoders(Mapping[str, Encoder]):
    """The table, read on first use."""

    def __getitem__(self, name: str) -> Encoder:
        return _table()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_table())

    def __len__(self) -> int:
        return len(_table())


ENCODERS: Mapping[str, Encoder] = _Encoders()


@cache
def _table() -> dict[str, Encoder]:
    text = files("coa.retrieval").joinpath("encoders.toml").read_text("utf-8")
    return {name: Encoder(**fields) for name, fields in tomllib.loads(text).items()}
