"""Start a vLLM server, wait until it is ready, say what really runs, and leave no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coa.errors import MissingExtra, ProviderUnavailable
from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm.arithmetic import preset
from coa.serving.vllm.diagnosis import why
from coa.serving.vllm.interpreter import Interpreter
from coa.serving.vllm.mistakes import check_interpreter, check_model, check_port
from coa.serving.vllm.probe import KEY_VARIABLE, Findings, ask, healthy, probe
from coa.serving.vllm.profiles import PROFILES, sparse_for
from coa.serving.vllm_plugin import BACKEND, CONFIG_VARIABLE, REPORT_VARIABLE

_MODULE = "vllm.entrypoints.openai.api_server"
_CPU_CACHE = "VLLM_CPU_KVCACHE_SPACE"
_POLL = 0.2
_MOMENT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to be started. ``wait`` is how many seconds it may take until it is ready.

    Attributes:
        model: A model's folder, or its name on a hub.
        profile: A name in `coa.serving.vllm.profiles`.
        settings: Of the profile's sparse method, in place of its own, such as ``tau``.
        heads: A table of heads for the profiles that let some stream.
        thresholds: A table of thresholds for the profiles with XAttention.
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
    thresholds: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def sparse(self) -> SparseConfig | None:
        """The sparse method that the profile asks for.

        Raises:
            UsageError: no such profile or setting of it, a table of heads is missing, or a setting makes no sense.
        """
        return sparse_for(self.profile, self.model, self.heads, self.thresholds, self.settings)

    def command(self, found: Interpreter) -> list[str]:
        """What is run.

        Raises:
            UsageError: no such profile, or this vLLM is not the one that sparse attention was written against.
            MissingExtra: a sparse profile, and the plug-in is not installed beside vLLM.
        """
        sparse = self.sparse
        check_interpreter(found, sparse)
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
        told = (*where, *length, *name, *self._preset, *PROFILES[self.profile].arguments, *backend, *build, *self.extra)
        return [found.python, "-m", _MODULE, "--model", self.model, *told]

    @property
    def _preset(self) -> tuple[str, ...]:
        """What a known model needs, unless the user says otherwise."""
        known = preset(self.model)
        if known is None:
            return ()
        told: list[str] = []
        if known.reasoning_parser and not self._says("--reasoning-parser"):
            told += ["--reasoning-parser", known.reasoning_parser]
        longer = known.extension
        if longer and (self.context or known.context) > longer.beyond and not self._says("--hf-overrides"):
            told += ["--hf-overrides", json.dumps(longer.overrides)]
        return tuple(told)

    def _says(self, option: str) -> bool:
        return any(given.split("=")[0] == option for given in self.extra)

    def environment(self, found: Interpreter, report: Path) -> dict[str, str]:
        """What the server finds in its environment beside ours."""
        small = found.cpu and not self._says("--kv-cache-memory-bytes")
        cpu = {_CPU_CACHE: os.environ.get(_CPU_CACHE, "1")} if small else {}
        sparse = self.sparse
        if sparse is None:
            return cpu
        return {**cpu, CONFIG_VARIABLE: sparse.to_json(), REPORT_VARIABLE: str(report)}

    @property
    def url(self) -> str:
        """Where it will answer."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def key(self) -> str | None:
        """The key that it will ask for, if any."""
        told = zip(self.extra, self.extra[1:], strict=False)
        spelled = (
            *(b for a, b in told if a == "--api-key"),
            *(a[10:] for a in self.extra if a.startswith("--api-key=")),
        )
        return next(iter(spelled), os.environ.get(KEY_VARIABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that is ready; ``found`` is what it said of itself."""

    found: Findings
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Until it ends by itself, which it should not.

        Raises:
            CoaError: always, with its last lines.
        """
        self.process.wait()
        raise why(self.process.returncode, self.log, was_ready=True)


@contextmanager
def running(launch: Launch, log: Path, *, found: Interpreter) -> Generator[Running]:
    """The server from ready to stopped; it and all its children are gone afterwards.

    Raises:
        UsageError: the port is taken, the folder is missing, the profile unknown, the model or its heads unfit.
        ModelError: it ended or was not ready in time; its last lines are in the message. Or the attention that was
            asked for did not run.
    """
    command = launch.command(found)
    report = log.with_suffix(".sparse.json")
    report.unlink(missing_ok=True)
    # What is left over in the environment would make a dense server sparse.
    inherited = {name: value for name, value in os.environ.items() if name not in (CONFIG_VARIABLE, REPORT_VARIABLE)}
    env = inherited | launch.environment(found, report)
    check_model(launch.model, found, launch.sparse)
    check_port(launch.host, launch.port)
    with log.open("wb") as out:
        # A group of its own: vLLM has children, and none of them may outlive it.
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=env)
    try:
        _wait(process, launch, log, time.monotonic)
        yield Running(found=_checked(launch), process=process, log=log)
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
        _until_gone(process.pid)
    process.wait()


def _until_gone(group: int, patience: float = 5.0) -> None:
    """Killed processes with much memory take a moment to end.

    Raises:
        ProcessLookupError: they are gone.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        os.killpg(group, 0)
        time.sleep(_MOMENT)


def _wait(process: subprocess.Popen[bytes], launch: Launch, log: Path, now: Callable[[], float]) -> None:
    end = now() + launch.wait
    while not healthy(launch.url):
        if process.poll() is not None or now() > end:
            raise why(process.returncode, log)
        time.sleep(_POLL)


def _checked(launch: Launch) -> Findings:
    """The server must run what was asked for; vLLM itself only logs that it goes on without."""
    found = probe(launch.url, launch.key)
    if launch.context and found.window and found.window != launch.context:
        raise ProviderUnavailable(
            f"the server runs with {found.window} tokens instead of {launch.context}",
            hint="See its log; a smaller --context may be needed.",
        )
    if (sparse := launch.sparse) is None:
        return found
    # Its attention runs with the first token, not before.
    said = {"model": found.models[0], "prompt": "Good morning.", "max_tokens": 2, "temperature": 0}
    ask(launch.url, "/v1/completions", said, launch.key)
    found = probe(launch.url, launch.key)
    if found.attention != sparse.method or found.settings != sparse.settings:
        raise ProviderUnavailable(
            f"the server computes {found.computes} attention instead of {sparse.method} ({sparse.settings})",
            hint="vLLM goes on dense when a backend does not register; its log says why.",
        )
    return found
