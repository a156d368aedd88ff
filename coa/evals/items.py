"""`Item`: one thing to be done and scored. And the files that they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from coa.errors import UsageError
from coa.textfile import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a benchmark.

    Attributes:
        key: Its name, the same whenever the file is loaded.
        question: What is asked, the brief of a text to be written, or the path of the file to be continued.
        document: What is read; empty where something is written from nothing.
        gold: What it is scored against, as its metric takes it.
        files: A repository: the text of each file by its path.
        words: Length to write.
        said: A text that the file itself holds, to be scored instead of a new one.
    """

    key: str
    question: str
    gold: Any
    document: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    words: int | None = None
    said: str | None = None


def records(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file (one, a list, or one a line) or of a folder's files, each with a name.

    Raises:
        InputNotFound: there is no such file.
        InputUnreadable: it cannot be read.
        UsageError: it holds no JSON objects.
    """
    path = Path(path)
    if path.is_dir():
        for file in sorted([*path.glob("*.json"), *path.glob("*.jsonl")]):
            yield from records(file)
        return
    text = read_text(path)
    try:
        if path.suffix == ".jsonl":
            found: object = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(path)!r} is no JSON: {error}", hint="Give the benchmark's own file.") from None
    if isinstance(found, dict):
        yield path.stem, cast("dict[str, Any]", found)
        return
    for number, each in enumerate(cast("list[object]", found) if isinstance(found, list) else [None]):
        if not isinstance(each, dict):
            raise UsageError(f"{str(path)!r} holds no JSON objects", hint="Give the benchmark's own file.")
        yield f"{path.stem}-{number}", cast("dict[str, Any]", each)
