"""The data of the quality tables: QMSum's meetings and LooGLE's short questions, as documents with queries and gold."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coa.types import Span

Gold = list[tuple[int, int]]


@dataclass(frozen=True)
class Case:
    """A text, and its queries with the stretches that answer them."""

    name: str
    text: str
    queries: list[tuple[str, Gold]]


def meetings(path: Path) -> Iterator[Case]:
    """QMSum: the specific queries; gold are the turns that its annotators marked. A file of lines, or a folder."""
    raws = [json.loads(file.read_text()) for file in sorted(path.glob("*.json"))] if path.is_dir() else None
    for number, raw in enumerate(raws or map(json.loads, path.read_text().splitlines())):
        turns = [f"{turn['speaker']}: {turn['content']}" for turn in raw["meeting_transcripts"]]
        starts = [0]
        for turn in turns:
            starts.append(starts[-1] + len(turn) + 1)
        queries = [
            (item["query"], [(starts[int(a)], starts[int(b) + 1] - 1) for a, b in item["relevant_text_span"]])
            for item in raw["specific_query_list"]
        ]
        yield Case(f"{path.stem}-{number}", "\n".join(turns), queries)


def articles(path: Path) -> Iterator[Case]:
    """LooGLE's short dependency questions: a single fact each; gold is where the evidence stands, verbatim."""
    for number, line in enumerate(path.read_text().splitlines()):
        raw = json.loads(line)
        text, queries = raw["input"], list[tuple[str, Gold]]()
        pairs = raw["qa_pairs"] if isinstance(raw["qa_pairs"], list) else ast.literal_eval(raw["qa_pairs"])
        for pair in pairs:
            evidence = pair.get("S") or []
            places = [(text.find(s), len(s)) for s in ([evidence] if isinstance(evidence, str) else evidence)]
            gold = [(start, start + size) for start, size in places if start >= 0 and size]
            if gold:
                queries.append((pair["Q"], gold))
        yield Case(f"article-{number}", text, queries)


def relevant(span: Span, gold: Gold) -> bool:
    """Whether a passage touches a gold stretch."""
    return any(span.start < end and span.end > start for start, end in gold)
