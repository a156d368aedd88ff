"""The options that commands share, in groups, declared once; those named like a setting have a ``COA_*`` twin."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from coa.cli.console import writable
from coa.config import Settings, load_settings
from coa.errors import UsageError

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Files or folders; - is standard input.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", callback=writable, help="Write the result to this file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
Words = Annotated[int | None, typer.Option(help="Length to aim at.")]
Questions = Annotated[
    str | None, typer.Option(metavar="FILE.jsonl", help="Questions, one JSON object a line; all else are documents.")
]
Batch = Annotated[
    int | None, typer.Option(metavar="N", help="Of --questions: N of them share one reading of the documents.")
]
Choices = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="A closed question: the answer is one of these (or A|B).")
]
YesNo = Annotated[bool, typer.Option("--yes-no", help="A closed question: the answer is yes or no.")]
Retrieve = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", help="Read the passages that bear on the question alone; FILE may be an index."),
]
Rounds = Annotated[
    int | None,
    typer.Option(metavar="N", help="With --retrieve: one prompt, up to N follow-up questions that look up more (0-5)."),
]
Shots = Annotated[
    str | None, typer.Option(metavar="FILE.jsonl", help="With --rounds: worked examples, one JSON object a line.")
]
RunDir = Annotated[Path | None, typer.Option(help="Where runs are kept.")]
BaseUrl = Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, ending in /v1.")]
Model = Annotated[
    str | None,
    typer.Option(help="offline, offline:minilm, openai:NAME, vllm:NAME, litellm:PROVIDER/NAME or scripted:FILE."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What a run may use: options that a resumed run may change."""

    base_url: BaseUrl = None
    fallback: Annotated[str | None, typer.Option(metavar="MODEL,...", help="Models that take over if it fails.")] = None
    concurrency: Annotated[int | None, typer.Option(help="Model calls in flight at most.")] = None
    retries: Annotated[int | None, typer.Option(help="How often a failed call is sent again.")] = None
    timeout: Annotated[float | None, typer.Option(help="Seconds for one model call, whole.")] = None
    max_cost: Annotated[float | None, typer.Option(help="US dollars at most.")] = None
    max_calls: Annotated[int | None, typer.Option(help="Model calls at most.")] = None
    max_tokens: Annotated[int | None, typer.Option(help="Tokens at most, prompts and replies together.")] = None
    deadline: Annotated[float | None, typer.Option(help="Seconds for the whole run.")] = None
    prices: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="US dollars per million tokens: prompt, reply.")
    ] = None
    run_dir: RunDir = None

    def settings(self) -> Settings:
        """What was given; the rest comes from the environment and the config file.

        Raises:
            UsageError: a value is out of range.
        """
        return load_settings(**self.given())

    def given(self) -> dict[str, Any]:
        """The arguments of `load_settings`; None where an option was not given."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name in Settings.model_fields}
        lists = {name: tuple(values[name].split(",")) for name in ("prices", "fallback") if values[name]}
        return values | lists


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(LimitOptions):
    """How a run is carried out: the fields of `coa.config.Settings`, as options."""

    model: Model = None
    window: Annotated[int | None, typer.Option(help="Tokens of prompt and reply together.")] = None
    topology: Annotated[str | None, typer.Option(help="How the agents are connected.")] = None
    order: Annotated[str | None, typer.Option(help="In which order the parts are read.")] = None
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep nothing: the run cannot be resumed.")] = False
    durable: Annotated[bool, typer.Option("--durable", help="The journal survives power loss too (slower).")] = False

    def given(self) -> dict[str, Any]:
        """See `LimitOptions.given`."""
        switches = {"journal": False if self.no_journal else None, "durable": True if self.durable else None}
        return LimitOptions.given(self) | switches


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions(RunOptions):
    """How documents are read for a text: the options of those commands that a pipeline carries out."""

    notes: Annotated[
        str | None, typer.Option(help="What workers hand on: free (text) or structured (a bounded memory of facts).")
    ] = None
    reopen: Annotated[
        int | None, typer.Option(metavar="K", help="Read K parts again for what the notes leave open.")
    ] = None
    prompts: Annotated[
        str | None, typer.Option(metavar="DIR", help="Prompts that replace the packaged ones, or memagent.")
    ] = None
    embedder: Annotated[
        str | None,
        typer.Option(help="What orders measure likeness with: minilm, or a model's folder; else rare words."),
    ] = None
    paths: Annotated[
        str | None,
        typer.Option(metavar="WAYS", help="Read in several ways: bidirectional, self-consistency:N or permutations:N."),
    ] = None
    select: Annotated[str | None, typer.Option(help="Which of them answers: auto, vote or judge.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a command shows its result."""

    output: Output = None
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner(Shown):
    """How a command that may cost money goes about it."""

    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show calls, tokens, money and time; send nothing.")] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Whether the result is traced to its sources at once, and where the report goes."""

    trace: Annotated[bool, typer.Option("--trace", help="Say which sentences each claim rests on.")] = False
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="Write the traceback's report; implies --trace."),
    ] = None

    def check(self, settings: Settings) -> None:
        """Refuse what cannot be traced before anything is spent.

        Raises:
            UsageError: a trace is wanted and the run keeps no journal.
        """
        if self.wanted and not settings.journal:
            raise UsageError("a trace needs the run's journal", hint="Leave --no-journal out.")

    @property
    def wanted(self) -> bool:
        """Whether to trace at all."""
        return self.trace or self.html is not None
