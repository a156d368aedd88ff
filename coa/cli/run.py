"""Carry a task out for the command line: settings, price check, progress, signals, output."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from coa.cli.console import note, on_terminal, write_result
from coa.cli.options import Manner, Shown, Tracing
from coa.cli.progress import Quiet, listener
from coa.config import Settings
from coa.errors import Interrupted, UsageError
from coa.forecast import Plan
from coa.runtime.signals import on_stop
from coa.types import Answer, Task

if TYPE_CHECKING:
    from coa.verification import Verification

T = TypeVar("T")

PARTIAL = 3
ASK_ABOVE_USD = 1.0
_NO_MODEL = (
    "no model is configured: using offline, an extractive engine without a language model; name one with --model "
    "(openai:NAME, vllm:NAME, litellm:PROVIDER/NAME)"
)


class Stopped(Interrupted):
    """A signal stopped the run."""

    def __init__(self, number: int, run_id: str | None) -> None:
        resume = f"coa resume {run_id}" if run_id else "the same command again"
        super().__init__(f"stopped by {signal.Signals(number).name}", hint=f"Finished calls are kept: {resume}")
        self.exit_code = 128 + number


def carry_out(
    task: Task, sources: list[str], settings: Settings, manner: Manner, tracing: Tracing | None = None
) -> None:
    """Run a task, or only plan it, and exit with the code that the result asks for."""
    from coa import api
    from coa.cli.again import forgetting, keeping

    tracing = tracing or Tracing()
    tracing.check(settings)
    say_no_model(settings, manner)
    if manner.dry_run or _may_be_dear(settings, manner):
        plan = asyncio.run(api.plan(task, sources, settings, stdin=read_stdin))
        if manner.dry_run:
            from coa.cli.planning import render_plan

            write_result(render_plan(plan, as_json=manner.json), manner.output)
            return
        _confirm(plan)
    kept = keeping(settings) if tracing.wanted else forgetting(settings)
    answer = watched(lambda emit: api.run(task, sources, settings, emit=kept(emit), stdin=read_stdin), manner.quiet)
    if tracing.wanted:
        from coa.cli.trace import show_traced

        show_traced(answer, settings, manner, tracing.html)
    else:
        show(answer, manner)


def say_no_model(settings: Settings, shown: Shown) -> None:
    """Say which engine is at work where nobody chose one."""
    if settings.model is None and not shown.quiet:
        note(_NO_MODEL)


def ask_price(settings: Settings, manner: Manner, forecast: Callable[[], Plan]) -> None:
    """Ask before a dear run, where somebody can be asked."""
    if _may_be_dear(settings, manner):
        _confirm(forecast())


def verify_all(source: str, claims: list[str], settings: Settings, manner: Manner, *, pair: bool = False) -> None:
    """Verify claims one after the other, and exit with the code of a partial result if any of them is one."""
    from coa import api
    from coa.cli.again import keeping
    from coa.verification import pair_of, verdict_of

    say_no_model(settings, manner)
    stdin, kept = _ReadOnce(), keeping(settings)
    tasks = [Task(kind="verify", query=claim) for claim in claims]
    if manner.dry_run:
        from coa.cli.planning import render_plan

        plans = [asyncio.run(api.plan(task, [source], settings, stdin=stdin)) for task in tasks]
        write_result("".join(render_plan(plan, as_json=manner.json) for plan in plans), manner.output)
        return
    results = [
        verdict_of(
            claim,
            watched(
                lambda emit, task=task: api.run(task, [source], settings, emit=kept(emit), stdin=stdin), manner.quiet
            ),
        )
        for claim, task in zip(claims, tasks, strict=True)
    ]
    both = pair_of(*results) if pair else None
    if manner.json:
        found = both.to_dict() if both else {"claims": [result.to_dict() for result in results]}
        write_result(as_json(found), manner.output)
    else:
        head = f"SUPPORTED OF THE PAIR: {both.outcome}\n\n" if both else ""
        write_result(head + "\n".join(map(_verdict, results)), manner.output)
    if any(result.answer.status == "partial" for result in results):
        raise typer.Exit(PARTIAL)


def _verdict(result: Verification) -> str:
    """The verdict and the claim, then the reasons without the line that repeats the verdict."""
    from coa.agents.closed import without_head
    from coa.report import render_text

    text = render_text(result.answer)
    return f"{result.verdict.upper()}: {result.claim}\n{without_head(text) if text else text}"


def ask_all(sources: list[str], path: str, kind: Task, settings: Settings, manner: Manner, *, batch: int = 1) -> None:
    """Ask the questions of a file one after the other, and print one JSON object a line, or texts one below the other.

    ``kind`` says how to answer each; ``batch`` of them share a reading. The limits of the settings hold for all of them
    together. Asked again, answered questions cost nothing.
    """
    from coa import api
    from coa.cli.again import keeping
    from coa.questions import batched, left_after, read_questions
    from coa.report import answer_to_json, render_text

    if manner.dry_run:
        raise UsageError("a file of questions has no --dry-run", hint="Try one of them with `coa plan ask`.")
    groups = batched(read_questions(path), batch, kind)
    say_no_model(settings, manner)
    stdin, kept = _ReadOnce(), keeping(settings)
    printed: list[str] = []
    partial = False
    for questions, task in groups:
        answer = watched(
            lambda emit, task=task, left=settings: api.run(task, sources, left, emit=kept(emit), stdin=stdin),
            manner.quiet,
        )
        settings = left_after(settings, answer.usage)
        partial = partial or answer.status == "partial"
        for question, each in zip(questions, answer.batch or (answer,), strict=True):
            if manner.json:
                found = {"id": question.id, "question": question.text, "answer": json.loads(answer_to_json(each))}
                printed.append(as_json(found))
            else:
                printed.append(f"{question.id}: {question.text}\n{render_text(each)}\n")
    write_result("".join(printed), manner.output)
    if partial:
        raise typer.Exit(PARTIAL)


class _ReadOnce:
    """Standard input, read for the first of several runs and kept for the others."""

    def __init__(self) -> None:
        self._data: bytes | None = None

    def __call__(self) -> bytes:
        if self._data is None:
            self._data = read_stdin()
        return self._data


def watched(start: Callable[[Quiet], Awaitable[T]], quiet: bool, progress: Quiet | None = None) -> T:
    """Run with progress, a bar or lines if none is given; a first signal ends it cleanly, a second one at once.

    Raises:
        Stopped: a signal came.
    """
    shown = progress or listener(quiet)
    received: list[int] = []

    async def work() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            received.append(number)
            loop.remove_signal_handler(number)
            task.cancel()

        on_stop(stop)
        return await start(shown)

    try:
        return asyncio.run(work())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Stopped(received[0] if received else signal.SIGINT, shown.run_id) from None
    finally:
        shown.close()


def show(answer: Answer, manner: Shown) -> None:
    """Print the result on standard output and the account of it on standard error."""
    from coa.report import answer_to_json, render_text

    write_result(answer_to_json(answer) + "\n" if manner.json else render_text(answer), manner.output)
    account(answer, manner)


def account(answer: Answer, manner: Shown) -> None:
    """Say on standard error what was read and what it cost, and exit as a partial result asks for."""
    if not manner.quiet:
        _account(answer)
    if answer.status == "partial":
        raise typer.Exit(PARTIAL)


def _account(answer: Answer) -> None:
    from coa.cli.progress import spent

    coverage, usage = answer.coverage, answer.usage
    for unread in (*coverage.skipped, *coverage.failed):
        span = unread.span
        where = f" characters {span.start}-{span.end}" if span.end > span.start else ""
        note(f"not read: {span.doc}{where}: {unread.reason}")
    replayed = f" and {usage.calls_from_journal} from the journal" if usage.calls_from_journal else ""
    note(
        f"{answer.status}: {coverage.read} of {coverage.chunks} parts read, {usage.calls} calls{replayed}, "
        f"{spent(usage)}, {usage.seconds:.1f} s, model {answer.model}, run {answer.run_id}"
    )


def _confirm(plan: Plan) -> None:
    if plan.cost_usd is not None and plan.cost_usd > ASK_ABOVE_USD:
        typer.confirm(f"This may cost up to {plan.cost_usd:.2f} USD. Go on?", abort=True, err=True)


def _may_be_dear(settings: Settings, manner: Manner) -> bool:
    """Only where somebody can be asked, and only for models that cost money."""
    if manner.yes or settings.model is None or settings.model.startswith(("offline", "scripted", "vllm")):
        return False
    return sys.stdin is not None and sys.stdin.isatty() and on_terminal()


def read_stdin() -> bytes:
    """All of standard input."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped in", hint="Pipe a document in: coa summarize - < book.txt")
    return sys.stdin.buffer.read()


def as_json(value: Any) -> str:
    """One JSON object, one line."""
    return json.dumps(value, ensure_ascii=False, default=str) + "\n"
