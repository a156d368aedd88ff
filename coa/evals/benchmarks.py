"""The benchmarks by name: how their files are read and their texts are scored. One line in `BENCHMARKS` adds another.

No data comes with the package: every loader takes the path of a file that its publisher offers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from coa.attribution.metrics import set_scores
from coa.documents.turns import read_transcript
from coa.errors import UsageError
from coa.evals.items import Item, records
from coa.evals.metrics import code, contained, rouge, route
from coa.writing.measure import length_score, longwriter_count

Scores = Mapping[str, float]

_CITED = re.compile(r"\[([\d, ]+)\]")
_PATH = re.compile(r"\n(?:#|//) Path: (\S+)[^\n]*\n")
_COVERAGE = MappingProxyType({"FULL_COVERAGE": 1.0, "PARTIAL_COVERAGE": 0.5})
_ROUTE_FORM = (
    "Give the route from {src} to {dst}. Each city has one way out, so follow it step by step. Write nothing but the "
    "route, one step a line, in this form:\n<Route>\nFrom CITY, take a MEANS to CITY.\n</Route>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """How one benchmark is read and scored.

    Attributes:
        about: One line about it.
        load: Reads the items of a file or a folder.
        score: The scores of a text for an item.
        main: The score that stands for the others.
        writes: Whether the items are texts to be written, not questions about documents.
    """

    about: str
    load: Callable[[Path], Iterator[Item]]
    score: Callable[[Item, str], Scores]
    main: str
    writes: bool = False


def resolve_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in BENCHMARKS:
        raise UsageError(f"unknown benchmark {name!r}", hint=f"Choose one of: {', '.join(BENCHMARKS)}.")
    return BENCHMARKS[name]


def _qmsum(path: Path) -> Iterator[Item]:
    import json

    for name, record in records(path):
        transcript = read_transcript(json.dumps({"meeting_transcripts": record["meeting_transcripts"]})) or ""
        for kind in ("general", "specific"):
            for number, query in enumerate(record[f"{kind}_query_list"]):
                yield Item(
                    key=f"{name}/{kind}-{number}", question=query["query"], document=transcript, gold=query["answer"]
                )


def _niah(path: Path) -> Iterator[Item]:
    """The last line is the question; what stands before it is the text."""
    for name, record in records(path):
        text, _, question = str(record["input"]).rstrip().rpartition("\n")
        yield Item(key=f"{name}/{record.get('index', 0)}", question=question, document=text, gold=record["outputs"])


def _path_traversal(path: Path) -> Iterator[Item]:
    for name, record in records(path):
        src, dst = re.findall(r"'((?:[^'\\]|\\.)*)'|\"([^\"]*)\"", str(record["question_repr"]))
        question = _ROUTE_FORM.format(src=src[0] or src[1], dst=dst[0] or dst[1])
        yield Item(key=name, question=question, document=record["context_nl"], gold=record["answer_nl"])


def _longbench_write(path: Path) -> Iterator[Item]:
    for name, record in records(path):
        yield Item(key=name, question=record["prompt"], gold=record["length"], words=record["length"])


def _repobench(path: Path) -> Iterator[Item]:
    """RepoBench's own records, or LongBench's ``repobench-p``: a file to be continued, and what it imports from."""
    for name, record in records(path):
        if "cropped_code" in record:
            pieces = [(each["path"], each["snippet"]) for each in record["context"]]
            place = record["file_path"]
            begun, line = f"{record['import_statement']}\n\n{record['cropped_code']}", record["next_line"]
        else:
            marks = _PATH.split(f"\n{record['context']}\n")
            pieces = [("context.txt", marks[0]), *zip(marks[1::2], marks[2::2], strict=True)]
            (line, *_), begun = record["answers"], record["input"]
            place = "java/Unfinished.java" if record.get("language") == "java" else "python/unfinished.py"
        files: dict[str, str] = {}
        for where, snippet in pieces:
            if snippet.strip() and where != place:
                files[_inside(where)] = f"{files.get(where, '')}{snippet}\n"
        files[_inside(place)] = begun.rstrip("\n") + "\n"
        yield Item(key=name, question=place, files=files, gold=line)


def _inside(path: str) -> str:
    """A path that cannot leave the folder it is put into."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError(f"{path!r} is no path inside a repository")
    return path


def _summhay(path: Path) -> Iterator[Item]:
    """One item for each system whose summaries the file holds with the verdicts of a judge, which coverage needs."""
    for name, record in records(path):
        subtopics: list[dict[str, Any]] = record["subtopics"]
        holders: dict[str, set[int]] = {}
        for number, document in enumerate(record["documents"], 1):
            for insight in document["insights_included"]:
                holders.setdefault(insight, set()).add(number)
        for system in dict.fromkeys(system for each in subtopics for system in each["eval_summaries"]):
            judged = [
                (verdict, _bullets(each["summaries"][system]), holders.get(verdict["insight_id"], set()))
                for each in subtopics
                for verdict in each["eval_summaries"].get(system, ())
            ]
            yield Item(key=f"{name}/{system}", question="", gold=judged, said="recorded")


def _bullets(summary: str | list[str]) -> list[str]:
    lines = summary.split("\n") if isinstance(summary, str) else summary
    return [line for line in lines if line.strip()]


def _summhay_score(item: Item, _: str) -> Scores:
    """As published: means over all insights; citations only over those covered."""
    coverages: list[float] = []
    joints: list[float] = []
    cited: list[tuple[float, float, float]] = []
    for verdict, bullets, gold in item.gold:
        coverage = _COVERAGE.get(verdict["coverage"], 0.0)
        coverages.append(coverage)
        scores = (0.0, 0.0, 0.0)
        if coverage:
            scores = set_scores(_numbers(_bullet(bullets, verdict["bullet_id"])), gold)
            cited.append(scores)
        joints.append(coverage * scores[2])
    precision, recall, f1 = (_mean([each[i] for each in cited]) for i in range(3))
    return {
        "coverage": _mean(coverages),
        "citation": f1,
        "joint": _mean(joints),
        "precision": precision,
        "recall": recall,
    }


def _bullet(bullets: list[str], number: object) -> str:
    """The bullet of a verdict; as published, a number that is none means the last but one."""
    place = number - 1 if isinstance(number, int) else -2
    return bullets[place] if -len(bullets) <= place < len(bullets) else ""


def _numbers(bullet: str) -> set[int]:
    return {int(number) for group in _CITED.findall(bullet) for number in re.findall(r"\d+", group)}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "qmsum": Benchmark(
            about="questions about meetings (QMSum): ROUGE",
            load=_qmsum,
            score=lambda item, text: rouge(text, item.gold),
            main="rouge",
        ),
        "niah": Benchmark(
            about="needles in a haystack (RULER's JSONL): recall",
            load=_niah,
            score=lambda item, text: {"recall": contained(text, item.gold)},
            main="recall",
        ),
        "longproc-path": Benchmark(
            about="following a route through many facts (LongProc path_traversal)",
            load=_path_traversal,
            score=lambda item, text: route(text, item.gold),
            main="partial",
        ),
        "longbench-write": Benchmark(
            about="texts of a given length (LongBench-Write): S_l, 0 to 100; quality needs a judge and is not scored",
            load=_longbench_write,
            score=lambda item, text: {"S_l": length_score(item.gold, longwriter_count(text))},
            main="S_l",
            writes=True,
        ),
        "repobench": Benchmark(
            about="the next line of a file of a repository (RepoBench, LongBench's repobench-p)",
            load=_repobench,
            score=lambda item, text: code(text, item.gold),
            main="code_sim",
        ),
        "summhay": Benchmark(
            about="summaries of many documents (SummHay): the systems and verdicts that the file records, no model",
            load=_summhay,
            score=_summhay_score,
            main="joint",
        ),
    }
)
