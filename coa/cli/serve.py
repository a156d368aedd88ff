"""`coa serve`: the pipelines behind an OpenAI-compatible HTTP API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.run import as_json, say_no_model
from coa.config import Settings
from coa.errors import UsageError


@flattened
def serve(
    options: o.ReadOptions,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any that is free.")] = 8642,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Variable that holds a key clients must send; may be given again."),
    ] = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Let everybody ask who reaches this machine, beyond it too.")
    ] = False,
    max_body: Annotated[int, typer.Option(metavar="MB", min=1, help="Size of a request at most.")] = 64,
    requests: Annotated[int, typer.Option(min=1, help="Requests answered at once; one more is told to wait.")] = 8,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Answer chat requests of OpenAI's API with the pipelines; the address goes to standard output."""
    from coa.serving.http.app import MB, Access, App
    from coa.serving.http.chat import MODELS
    from coa.serving.http.gate import LOOPBACK
    from coa.serving.http.listen import address_of, bound, uvicorn
    from coa.serving.http.listen import serve as listen

    uvicorn()
    settings, keys = options.settings(), _keys(api_key_env or ())
    local = host in LOOPBACK
    if not local and not keys and not without_key:
        raise UsageError(
            f"on {host!r} anybody who reaches this machine could ask, and spend",
            hint="Name a key with --api-key-env NAME, or say --without-key.",
        )
    say_no_model(settings, o.Shown(quiet=quiet))
    asyncio.run(_tried(settings))
    # With a key, a name that was pointed at this machine brings nobody in: a proxy may pass any name on.
    hosts = LOOPBACK if local and not keys and not without_key else ()
    access = Access(keys=keys, hosts=hosts, body_bytes=max_body * MB, requests=requests)
    app = App(settings, access, log=_unheard if quiet else note)
    with bound(host, port) as listening:
        address = address_of(host, listening)
        write_result(as_json({"address": address, "models": list(MODELS)}) if json else f"{address}\n")
        with suppress(KeyboardInterrupt):
            asyncio.run(listen(app, listening))
    if not quiet:
        note("stopped")


def _keys(names: Sequence[str]) -> tuple[str, ...]:
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    if missing:
        raise UsageError(f"{missing[0]} holds no key", hint=f"Set it: export {missing[0]}=...")
    return tuple(os.environ[name].strip() for name in names)


async def _tried(settings: Settings) -> None:
    """Plan a tiny run, which sends nothing: options that make no sense are told now, not to each client."""
    from coa import api
    from coa.documents import Document
    from coa.types import Task

    nothing = Document(id="nothing", path="nothing", text="Nothing yet.", sha256="")
    await api.plan(Task(kind="qa", query="What?"), [nothing], settings)


def _unheard(_: str) -> None:
    """For a log that nobody wants."""
