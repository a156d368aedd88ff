"""Start a vLLM server, wait until it is ready, say what really runs, and leave no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from coa.errors import MissingExtra, ProviderUnavailable, UsageError
from coa.serving.vllm.probe import Findings, healthy, probe

PYTHON_VARIABLE = "COA_VLLM_PYTHON"
PROFILES: Mapping[str, tuple[str, ...]] = {
    "dense": ("--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-chunked-prefill"),
}
PLANNED = ("xattention", "streaming", "quest", "lserve")

_MODULE = "vllm.entrypoints.openai.api_server"
_POLL = 0.2
_LAST_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to be started. ``wait`` is how many seconds it may take until it is ready."""

    model: str
    profile: str = "dense"
    context: int | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    wait: float = 900.0
    extra: tuple[str, ...] = ()

    def command(self, python: str) -> list[str]:
        """What is run.

        Raises:
            UsageError: no such profile, or one that is not there yet.
        """
        if self.profile not in PROFILES:
            known = self.profile in PLANNED
            raise UsageError(
                f"the profile {self.profile!r} is {'not there yet' if known else 'unknown'}",
                hint=f"Choose one of: {', '.join(PROFILES)}.",
            )
        length = ("--max-model-len", str(self.context)) if self.context else ()
        where = ("--host", self.host, "--port", str(self.port))
        return [python, "-m", _MODULE, "--model", self.model, *where, *length, *PROFILES[self.profile], *self.extra]

    @property
    def url(self) -> str:
        """Where it will answer."""
        return f"http://{self.host}:{self.port}"


def interpreter(env: Mapping[str, str] = os.environ) -> str:
    """The Python that has vLLM: ``COA_VLLM_PYTHON``, or this one.

    Raises:
        MissingExtra: it has none.
    """
    python = env.get(PYTHON_VARIABLE) or sys.executable
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        found = subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        raise MissingExtra(
            f"{python} has no vLLM", hint=f"pip install vllm, or set {PYTHON_VARIABLE} to an interpreter that has it."
        )
    return python


@contextmanager
def running(launch: Launch, log: Path, *, python: str) -> Generator[Findings]:
    """The server from ready to stopped; it and all its children are gone afterwards.

    Raises:
        UsageError: the port is taken, the folder is missing, the profile unknown.
        ProviderUnavailable: it ended or was not ready in time; its last lines are in the message.
    """
    command = launch.command(python)
    _check(launch)
    with log.open("wb") as out:
        # A group of its own: vLLM has children, and none of them may outlive it.
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(process, launch, log, time.monotonic)
        yield _checked(probe(launch.url), launch)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> None:
    """End a server and its children: asked first, killed when it does not listen."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _check(launch: Launch) -> None:
    if launch.model.startswith((".", "/", "~")) and not Path(launch.model).expanduser().is_dir():
        raise UsageError(f"there is no folder {launch.model!r}", hint="Give a model's folder or its name on a hub.")
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind((launch.host, launch.port))
        except OSError:
            raise UsageError(
                f"{launch.host}:{launch.port} cannot be listened on", hint="Another program has it; give --port."
            ) from None


def _wait(process: subprocess.Popen[bytes], launch: Launch, log: Path, now: Callable[[], float]) -> None:
    end = now() + launch.wait
    while not healthy(launch.url):
        if process.poll() is not None:
            raise ProviderUnavailable(
                f"vLLM ended with code {process.returncode} before it was ready:\n{_tail(log)}",
                hint=f"The whole log is in {log}.",
            )
        if now() > end:
            raise ProviderUnavailable(
                f"vLLM was not ready within {launch.wait:g} s:\n{_tail(log)}", hint=f"The whole log is in {log}."
            )
        time.sleep(_POLL)


def _checked(found: Findings, launch: Launch) -> Findings:
    """The server must run what was asked for."""
    if launch.context and found.window and found.window != launch.context:
        raise ProviderUnavailable(
            f"the server runs with {found.window} tokens instead of {launch.context}",
            hint="See its log; a smaller --context may be needed.",
        )
    return found


def _tail(log: Path) -> str:
    lines: Sequence[str] = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
