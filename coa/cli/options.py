"""The options that commands share, declared once; those named like a setting have a ``COA_*`` twin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Files or folders; - is standard input.")]
Model = Annotated[
    str | None,
    typer.Option(help="offline, offline:minilm, openai:NAME, vllm:NAME, litellm:PROVIDER/NAME or scripted:FILE."),
]
BaseUrl = Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, ending in /v1.")]
Window = Annotated[int | None, typer.Option(help="Tokens of prompt and reply together.")]
Topology = Annotated[str | None, typer.Option(help="How the agents are connected: chain.")]
Order = Annotated[str | None, typer.Option(help="In which order the parts are read: ltr.")]
Concurrency = Annotated[int | None, typer.Option(help="Model calls in flight at most.")]
Retries = Annotated[int | None, typer.Option(help="How often a failed call is sent again.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds for one model call, whole.")]
MaxCost = Annotated[float | None, typer.Option(help="US dollars at most.")]
MaxCalls = Annotated[int | None, typer.Option(help="Model calls at most.")]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens at most, prompts and replies together.")]
Deadline = Annotated[float | None, typer.Option(help="Seconds for the whole run.")]
Prices = Annotated[str | None, typer.Option(metavar="IN,OUT", help="US dollars per million tokens: prompt, reply.")]
RunDir = Annotated[Path | None, typer.Option(help="Where runs are kept.")]
NoJournal = Annotated[bool, typer.Option("--no-journal", help="Keep nothing: the run cannot be resumed.")]
Durable = Annotated[bool, typer.Option("--durable", help="The journal survives power loss too (slower).")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show calls, tokens, money and time; send nothing.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
Words = Annotated[int | None, typer.Option(help="Length to aim at.")]
