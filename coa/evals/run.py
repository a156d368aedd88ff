"""Run a benchmark item by item: each text is kept with its scores as soon as it is there, and never made twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, cast

from coa import api
from coa.code.completion import completion_task
from coa.config import Settings
from coa.documents import Document
from coa.errors import CoaError, InputError, LimitReached, RunError, UsageError
from coa.evals.benchmarks import resolve_benchmark
from coa.evals.items import Item, records
from coa.events import Emit, ignore
from coa.questions import left_after
from coa.serving.base import Model
from coa.types import Answer, Task, Usage

Said = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One item and how it went. A failed one has no scores, and counts as zero in the means.

    Attributes:
        setup: Model, window, topology, order and the like: a text made otherwise is not taken for this one's.
    """

    key: str
    setup: str
    text: str
    scores: dict[str, float]
    status: str
    error: str = ""
    usage: dict[str, Any]

    def to_line(self) -> str:
        """One line of a file of results."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The means over all items.

    Attributes:
        main: The score that stands for the others.
        failed: Keys of items without a text.
        partial: Items of whose document something was not read.
        kept: Items taken from the file of results.
    """

    benchmark: str
    setup: str
    items: int
    main: str
    scores: dict[str, float]
    failed: tuple[str, ...]
    partial: int
    kept: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The object that ``coa eval --json`` prints."""
        return {name: getattr(self, name) for name in self.__slots__}


async def evaluate(
    name: str,
    data: str | Path,
    settings: Settings,
    *,
    results: Path | None = None,
    predictions: Path | None = None,
    limit: int | None = None,
    emit: Emit = ignore,
    model: Model | None = None,
) -> Report:
    """Run a benchmark.

    Args:
        name: See `coa.evals.benchmarks.BENCHMARKS`.
        data: The benchmark's own file, or a folder of them.
        settings: How each item is run; limits in money, tokens and calls hold for all together.
        results: A JSONL file: items in it, made in the same way, are not made again, and new ones are added.
        predictions: A JSONL file of ``key`` and ``text``: these are scored, and no model is asked.
        limit: The first so many items only.
        emit: Called with each event of each run.
        model: An object with the `coa.Model` protocol.

    Raises:
        UsageError: no such benchmark, a file that is not its own, or an item without a prediction.
        LimitReached: a limit stopped it; what is in ``results`` stays.
    """
    benchmark = resolve_benchmark(name)
    items = load_items(name, data)[:limit]
    texts = _texts(predictions) if predictions else None
    setup = "predictions" if texts is not None else _setup(settings, model)
    kept = _kept(results, setup) if results else {}
    done: list[Scored] = []
    for item in items:
        if item.key not in kept:
            one = await _one(name, item, texts, setup, settings, emit, model)
            settings = left_after(settings, Usage(**one.usage)) if one.usage else settings
            if results:
                with results.open("a", encoding="utf-8") as file:
                    file.write(one.to_line())
            done.append(one)
        else:
            done.append(kept[item.key])
    return _report(name, benchmark.main, setup, done, sum(item.key in kept for item in items))


def _texts(predictions: Path) -> dict[str, str]:
    return {str(each.get("key")): str(each.get("text", "")) for _, each in records(predictions)}


def load_items(name: str, data: str | Path) -> list[Item]:
    """All items of a file.

    Raises:
        UsageError: the file is not in the form of this benchmark.
        InputError: it cannot be read.
    """
    try:
        items = list(resolve_benchmark(name).load(Path(data)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(
            f"{str(data)!r} does not have the form of {name}: {type(error).__name__} {error}",
            hint="Give the file as its publisher offers it.",
        ) from None
    if not items:
        raise UsageError(f"{str(data)!r} holds no items of {name}", hint="Give the file as its publisher offers it.")
    return items


async def _one(
    name: str,
    item: Item,
    texts: Mapping[str, str] | None,
    setup: str,
    settings: Settings,
    emit: Emit,
    model: Model | None,
) -> Scored:
    benchmark = resolve_benchmark(name)
    if texts is not None or item.said is not None:
        if texts is not None and item.key not in texts and item.said is None:
            raise UsageError(f"there is no prediction for {item.key!r}", hint="Each line holds a key and a text.")
        text = item.said if texts is None or item.said is not None else texts[item.key]
        scores = dict(benchmark.score(item, text or ""))
        return Scored(key=item.key, setup=setup, text=text or "", scores=scores, status="complete", usage={})
    try:
        answer = await _answer(item, benchmark.writes, settings, emit, model)
    except (LimitReached, UsageError, InputError, RunError):
        raise
    except CoaError as error:
        said = f"{error.code}: {error.message}"
        return Scored(key=item.key, setup=setup, text="", scores={}, status="failed", error=said, usage={})
    usage = {name: getattr(answer.usage, name) for name in Usage.__slots__}
    scores = dict(benchmark.score(item, answer.text))
    return Scored(key=item.key, setup=setup, text=answer.text, scores=scores, status=answer.status, usage=usage)


async def _answer(item: Item, writes: bool, settings: Settings, emit: Emit, model: Model | None) -> Answer:
    if writes:
        from coa.writing.run import WriteOptions, write

        return await write(item.question, settings, WriteOptions(words=item.words or 500), emit=emit, model=model)
    if item.files:
        return await _continued(item, settings, emit, model)
    document = Document(
        id="document", path=item.key, text=item.document, sha256=sha256(item.document.encode()).hexdigest()
    )
    return await api.run(Task(kind="qa", query=item.question), (document,), settings, emit=emit, model=model)


async def _continued(item: Item, settings: Settings, emit: Emit, model: Model | None) -> Answer:
    """The next line of a file, in a repository that is laid out for it."""
    with TemporaryDirectory() as folder:
        await asyncio.to_thread(_lay_out, Path(folder), item.files)
        line = item.files[item.question].count("\n") + 1
        task = await asyncio.to_thread(completion_task, folder, file=item.question, line=line)
        return await api.run(task, (folder,), settings, emit=emit, model=model)


def _lay_out(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def _setup(settings: Settings, model: Model | None) -> str:
    who = model.name if model is not None else settings.model or "offline"
    method = "".join(f" {name} {value}" for name, value in sorted(settings.method.items()))
    return f"{who} window {settings.window or 'default'} {settings.topology} {settings.order}{method}"


def _kept(results: Path, setup: str) -> dict[str, Scored]:
    """The finished items of a file of results; a last line that a crash cut off is not counted."""
    kept: dict[str, Scored] = {}
    if not results.exists():
        return kept
    for line in results.read_text("utf-8").split("\n"):
        try:
            found = cast("dict[str, Any]", json.loads(line))
            one = Scored(**found)
        except (ValueError, TypeError):
            continue
        if one.setup == setup and one.status != "failed":
            kept[one.key] = one
    return kept


def _report(name: str, main: str, setup: str, done: Sequence[Scored], kept: int) -> Report:
    names = list(dict.fromkeys(score for one in done for score in one.scores)) or [main]
    costs = [one.usage.get("cost_usd") for one in done if one.usage]
    return Report(
        benchmark=name,
        setup=setup,
        items=len(done),
        main=main,
        scores={score: fmean(one.scores.get(score, 0.0) for one in done) for score in names},
        failed=tuple(one.key for one in done if one.status == "failed"),
        partial=sum(one.status == "partial" for one in done),
        kept=kept,
        calls=sum(one.usage.get("calls", 0) for one in done),
        prompt_tokens=sum(one.usage.get("prompt_tokens", 0) for one in done),
        completion_tokens=sum(one.usage.get("completion_tokens", 0) for one in done),
        cost_usd=None if None in costs else sum((cost for cost in costs if cost is not None), 0.0),
        seconds=round(sum(one.usage.get("seconds", 0.0) for one in done), 3),
    )
