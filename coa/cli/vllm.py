"""``coa vllm``: plan, start and check a local vLLM."""

from __future__ import annotations

import shlex
import signal
import tempfile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.run import as_json
from coa.errors import ProviderUnavailable, UsageError

if TYPE_CHECKING:
    from coa.serving.vllm.launch import Launch


def vllm(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[plan] MODEL [-- VLLM ARGS]", help="A hub's name or a folder.")
    ] = None,
    profile: Annotated[str, typer.Option(help="dense, xattention, streaming, quest or lserve.")] = "dense",
    heads: Annotated[Path | None, typer.Option(help="Table of heads: which may stream.")] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="A random model made on the spot, named tiny.")] = False,
    context: Annotated[int | None, typer.Option(help="Tokens of prompt and reply together.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    wait: Annotated[float, typer.Option(help="Seconds until it must be ready.")] = 900.0,
    log: Annotated[Path | None, typer.Option(help="Where vLLM's own output goes.")] = None,
    check: Annotated[str | None, typer.Option(metavar="URL", help="Only ask this server what it is.")] = None,
    gpu: Annotated[str, typer.Option(help="plan: h200, h100, a100-80, l40s or rtx4090.")] = "h200",
    gpus: Annotated[int, typer.Option(help="plan: how many of them.")] = 1,
    kv: Annotated[str, typer.Option(help="plan: bf16 or fp8 cache.")] = "bf16",
    streaming_heads: Annotated[float, typer.Option(help="plan: share of heads that keep few tokens.")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command; start nothing.")] = False,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Start a vLLM server for long documents; `coa vllm plan MODEL` says what fits; `--check URL` asks a server."""
    given = list(arguments or ())
    if check is not None:
        _check(check, json, profile)
    elif given[:1] == ["plan"] and len(given) == 2:
        _plan(given[1], context, gpu, gpus, kv, streaming_heads, json)
    elif tiny or (given and given[0] != "plan"):
        _start(_launch(given, tiny, profile, context, host, port, wait, heads), log, dry_run)
    else:
        raise UsageError("no model was given", hint="coa vllm MODEL, coa vllm plan MODEL, or coa vllm --check URL")


def _launch(
    given: list[str],
    tiny: bool,
    profile: str,
    context: int | None,
    host: str,
    port: int,
    wait: float,
    heads: Path | None,
) -> Launch:
    from coa.serving.vllm.launch import Launch
    from coa.serving.vllm.tiny import make

    if tiny:
        given = [str(make(Path(tempfile.mkdtemp(prefix="coa-tiny-")))), *given]
    return Launch(
        model=given[0],
        profile=profile,
        context=context,
        host=host,
        port=port,
        wait=wait,
        heads=heads,
        name="tiny" if tiny else None,
        extra=tuple(given[1:]),
    )


def _start(launch: Launch, log: Path | None, dry: bool) -> None:
    from coa.serving.vllm.launch import Interpreter, interpreter, running

    if dry:
        write_result(shlex.join(launch.command(Interpreter(python="python", plugin=True))) + "\n")
        return
    found = interpreter()
    where = log or Path(tempfile.mkdtemp(prefix="coa-vllm-")) / "vllm.log"
    note(f"starting vLLM with {launch.model}; its output goes to {where}")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with running(launch, where, found=found) as server:
            note(_told(server))
            note(f"use it: coa ask book.txt QUESTION --model vllm:{server.models[0]} --base-url {launch.url}/v1")
            signal.pause()
    except KeyboardInterrupt:
        note("stopped")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check(url: str, json: bool, profile: str) -> None:
    from dataclasses import asdict

    from coa.serving.vllm.probe import probe

    found = probe(url)
    write_result(as_json(asdict(found)) if json else _told(found) + "\n")
    if profile != "dense" and found.attention != profile:
        raise ProviderUnavailable(
            f"{found.url} does not compute {profile} attention",
            hint="Start it with: coa vllm MODEL --profile " + profile,
        )


def _told(found: Any) -> str:
    version = f"vLLM {found.version}" if found.version else "a server that does not say it is vLLM"
    window = f"{found.window:,} tokens" if found.window else "unknown"
    cache = "not reported"
    if found.prefix_queries is not None:
        share = found.prefix_hits / found.prefix_queries if found.prefix_queries else 0.0
        cache = f"on, {share:.0%} of {found.prefix_queries:,.0f} prompt tokens served from it"
    attention = "dense, or unknown: our plug-in did not run there"
    if found.attention is not None:
        attention = f"{found.attention}, {found.density:.0%} of the keys looked at"
    return (
        f"{found.url}: {version}\nmodel         {', '.join(found.models) or 'none'}\nwindow        {window}\n"
        f"prefix cache  {cache}\nattention     {attention}"
    )


def _plan(model: str, context: int | None, gpu: str, gpus: int, kv: str, streaming: float, json: bool) -> None:
    from coa.serving.vllm.arithmetic import architecture_of, capacity

    widths = {"bf16": 2.0, "fp8": 1.0}
    if kv not in widths:
        raise UsageError(f"unknown kind of cache {kv!r}", hint="Choose bf16 or fp8.")
    found = capacity(
        model,
        architecture_of(model),
        gpu,
        context=context,
        gpus=gpus,
        kv_bytes=widths[kv],
        streaming=streaming,
    )
    if json:
        write_result(as_json(found.model_dump()))
        return
    rows = [
        ("model", f"{found.model} on {found.gpus} x {found.gpu}, {found.context:,} tokens a user"),
        ("weights", f"{found.weights_bytes / 1e9:.1f} GB"),
        ("KV cache", f"{found.kv_bytes_per_token:,} bytes a token, {found.kv_bytes_per_user / 1e9:.2f} GB a user"),
        ("users", f"{found.users} at once"),
        ("reading", f"{found.prefill_seconds:.1f} s a prompt of that length, at half of the peak"),
        ("writing", f"{1 / found.decode_seconds_per_token:.0f} tokens a second for one user, at most"),
        ("switching", f"{found.switch_seconds:.2f} s to bring a user's cache back from the host"),
    ]
    if not found.fits_context:
        rows.append(("warning", "longer than the model was made for"))
    if found.note:
        rows.append(("note", found.note))
    write_result("".join(f"{name:<11} {value}\n" for name, value in rows))
