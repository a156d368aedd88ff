"""``coa vllm``: plan, start and check a local vLLM."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.run import as_json
from coa.cli.serving import Asked, listed, plan, told
from coa.errors import ProviderUnavailable, UsageError

if TYPE_CHECKING:
    from coa.serving.vllm.launch import Launch

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def vllm(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[plan] MODEL [-- VLLM ARGS]", help="A hub's name or a folder.")
    ] = None,
    profile: Annotated[str, typer.Option(help="dense, xattention, streaming, quest or lserve.")] = "dense",
    heads: Annotated[Path | None, typer.Option(help="Table of heads: which may stream.")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="xattention, lserve: table with a tau for each head.")] = None,
    tau: Annotated[float | None, typer.Option(help="xattention, lserve: share of the attention that is kept.")] = None,
    stride: Annotated[int | None, typer.Option(help="xattention, lserve: tokens folded into one row.")] = None,
    budget: Annotated[int | None, typer.Option(help="quest, lserve: tokens seen while writing.")] = None,
    recent: Annotated[int | None, typer.Option(help="streaming, lserve: last tokens that such heads see.")] = None,
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
    streaming_heads: Annotated[
        float | None, typer.Option(help="plan, streaming, lserve: share of heads that keep few tokens.")
    ] = None,
    host_memory: Annotated[float, typer.Option(metavar="GB", help="plan: memory of the host for caches.")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command; start nothing.")] = False,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Start a vLLM server for long documents; `coa vllm plan MODEL` says what fits; `--check URL` asks a server."""
    given = list(arguments or ())
    asked = {"tau": tau, "stride": stride, "budget": budget, "recent": recent, "streaming_share": streaming_heads}
    settings = {name: value for name, value in asked.items() if value is not None}
    if check is not None:
        _check(check, json, profile, settings)
    elif given[:1] == ["plan"] and len(given) == 2:
        planned = Asked(
            context=context, gpu=gpu, gpus=gpus, kv=kv, streaming=streaming_heads or 0.0, host_memory=host_memory * 1e9
        )
        write_result(plan(given[1], planned, json))
    elif tiny or (given and given[0] != "plan"):
        with tempfile.TemporaryDirectory(prefix="coa-tiny-") as folder:
            made = Path(folder) if tiny else None
            launch = _launch(given, made, profile, context, host, port, wait, heads)
            _start(replace(launch, thresholds=thresholds, settings=settings), log, dry_run)
    else:
        raise UsageError("no model was given", hint="coa vllm MODEL, coa vllm plan MODEL, or coa vllm --check URL")


def _launch(
    given: list[str],
    tiny: Path | None,
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
        given = [str(make(tiny)), *given]
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
    from coa.serving.vllm.interpreter import Interpreter, interpreter
    from coa.serving.vllm.launch import running

    if dry:
        write_result(shlex.join(launch.command(Interpreter(python="python", plugin=True))) + "\n")
        return
    found = interpreter()
    where = log or Path(tempfile.mkdtemp(prefix="coa-vllm-")) / "vllm.log"
    note(f"starting vLLM {found.version} with {launch.model}; its output goes to {where}")
    if launch.host not in _LOOPBACK and launch.key is None:
        note("warning: anybody who reaches this machine can use it; give it a key: -- --api-key KEY")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with running(launch, where, found=found) as server:
            note(told(server.found))
            note(f"use it: coa ask book.txt QUESTION --model vllm:{server.found.models[0]} --base-url {launch.url}/v1")
            server.wait()
    except KeyboardInterrupt:
        note("stopped")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check(url: str, json: bool, profile: str, settings: Mapping[str, Any]) -> None:
    from dataclasses import asdict

    from coa.serving.vllm.checkup import checkup
    from coa.serving.vllm.probe import KEY_VARIABLE, probe

    key = os.environ.get(KEY_VARIABLE)
    checks = checkup(probe(url, key), key)
    found = probe(url, key)  # Again: attention shows itself once something was read.
    whole = {**asdict(found), "checks": [asdict(check) for check in checks]}
    write_result(as_json(whole) if json else f"{told(found)}\n{listed(checks)}")
    if not checks[0].works:
        raise ProviderUnavailable(f"{found.url} does not answer a chat: {checks[0].state}", hint=checks[0].mend)
    wanted = {f"{name}={value}" for name, value in settings.items()}
    if profile != "dense" and (found.attention != profile or not wanted <= set(found.settings.split())):
        raise ProviderUnavailable(
            f"{found.url} computes {found.computes} attention instead of {' '.join((profile, *sorted(wanted)))}",
            hint="Start it with: coa vllm MODEL --profile " + profile,
        )
