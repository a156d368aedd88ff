"""Programming languages by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

_ENDINGS = """
    python py pyi
    javascript js jsx mjs cjs ts tsx vue svelte
    java java kt kts scala groovy
    c c h cc cpp cxx hh hpp m mm cu
    csharp cs fs
    go go
    rust rs
    ruby rb
    php php
    swift swift
    lua lua
    shell sh bash zsh
    julia jl
    r r
    perl pl pm
    elixir ex exs
    haskell hs
    ocaml ml mli
    dart dart
    zig zig
    sql sql
    proto proto
"""

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        f".{ending}": language
        for language, *endings in (line.split() for line in _ENDINGS.strip().splitlines())
        for ending in endings
    }
)


def language_of(path: str) -> str | None:
    """The language of a file, by its name; close relatives count as one. None for what is no code."""
    return LANGUAGES.get(PurePath(path).suffix.lower())
