"""JSON objects in a model's reply: one a line, an array, or a single one, with or without a code fence around them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast

_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)


def objects(text: str) -> Iterator[tuple[str, object]]:
    """Each line with what it holds, None where that is no JSON; arrays and objects over several lines too."""
    bare = _FENCE.sub("", text.removeprefix("\ufeff")).strip()
    whole = _loaded(bare)
    if isinstance(whole, list):
        yield from ((json.dumps(item, ensure_ascii=False), item) for item in cast("list[object]", whole))
    elif isinstance(whole, dict):
        yield bare, cast("object", whole)
    else:
        for line in bare.split("\n"):
            if line.strip(" \t,[]"):
                yield line.strip(), _loaded(line.strip().rstrip(","))


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
