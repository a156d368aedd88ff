"""Becomes `python ARGUMENTS` over and over, in forks of one process that has loaded everything: see `processes.py`.

    python tests/nursery.py DOOR

DOOR is a Unix socket. A byte through it orders a process and brings its descriptors: a file with the order in JSON,
standard input, output and error, and a pipe on which the nursery answers with the process id and, later, the exit
code. The fork ends as any interpreter does (threads joined, buffers flushed), in a heap that nobody has used before.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

OTHERS = """
anyio._backends._asyncio encodings.big5 encodings.euc_jp encodings.euc_kr encodings.gb2312 encodings.utf_32_le
genai_prices.data httpcore httpcore2 jinja2.sandbox langchain_core.tracers.run_collector langchain_core.tracers.stdout
langgraph.graph numpy openai.lib.streaming.chat openai.resources.chat openai.resources.models rich.console rich.live
tiktoken truststore yaml
""".split()  # noqa: SIM905
OURS = """
coa.aggregation.run coa.aggregation.show coa.api coa.attribution.page coa.attribution.report coa.attribution.run
coa.attribution.terminal coa.cli.doctor coa.cli.main coa.evals.run coa.pipelines.registry coa.retrieval.index
coa.retrieval.rapid coa.retrieval.reading coa.retrieval.rerank coa.serving.offline coa.serving.openai coa.testing
coa.testing.writers coa.verification coa.writing.check coa.writing.export coa.writing.run
""".split()  # noqa: SIM905
DESCRIPTORS = 5

Running = dict[int, int]
"""The process ids of those who live, and where their exit codes are waited for."""


def load() -> None:
    """Import what commands import; of others' modules those that are installed."""
    for name in OTHERS:
        with suppress(ImportError):
            import_module(name)
    for name in OURS:
        import_module(name)


def ordered(door: socket.socket) -> int | None:
    """Fork for every order. In a fork: the descriptor of its order; in the nursery, once the door is shut: None."""
    running: Running = {}
    ended, ending = os.pipe()
    os.set_blocking(ending, False)
    signal.signal(signal.SIGCHLD, nothing)  # A handler must be there for the pipe to be written to.
    signal.set_wakeup_fd(ending)
    while True:
        ready, _, _ = select.select([door, ended], [], [])
        if ended in ready:
            os.read(ended, 1024)
            report(running, os.WNOHANG)
        if door in ready:
            byte, descriptors, _, _ = socket.recv_fds(door, 1, DESCRIPTORS)
            if not byte:
                return close(running)
            order, *streams, status = descriptors
            if (child := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                let_go(door, ended, ending, status, *running.values())
                settle(streams)
                return order
            running[child] = status
            os.write(status, f"{child}\n".encode())
            let_go(order, *streams)


def nothing(number: int, frame: FrameType | None) -> None: ...


def report(running: Running, options: int) -> None:
    """Pass the exit codes on."""
    with suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, options)
            if child == 0:
                return
            answer = running.pop(child)
            with suppress(BrokenPipeError):  # Nobody waits for it.
                os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(answer)


def close(running: Running) -> None:
    """The tests are over: so is what they have left behind."""
    for child in running:
        os.kill(child, signal.SIGKILL)
    report(running, 0)


def let_go(*held: int | socket.socket) -> None:
    for each in held:
        os.close(each) if isinstance(each, int) else each.close()


def settle(streams: list[int]) -> None:
    """In the fork: take the streams for one's own."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)


def become(order: dict[str, Any]) -> None:
    """Be the interpreter that was ordered."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    if order["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    if order["anew"]:
        for name in [name for name in sys.modules if name.partition(".")[0] == "coa"]:
            del sys.modules[name]
    what, *arguments = order["arguments"]
    if what == "-W":
        warnings.simplefilter(arguments[0])
        what, *arguments = arguments[1:]
    run(what, arguments)


def run(what: str, arguments: list[str]) -> None:
    """`python -m MODULE`, `python -c CODE` or `python FILE`, with its arguments."""
    if what == "-m":
        sys.argv = [*arguments]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv = [what, *arguments[1:]]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = [what, *arguments]
        sys.path.insert(0, str(Path(what).parent))
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # Where this file is: a fork has its own.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell starts what is in its background without it.
    load()
    gc.collect()
    gc.freeze()  # A fork that ends would otherwise touch, and so copy, every object there is.
    if (descriptor := ordered(socket.socket(fileno=int(sys.argv[1])))) is not None:
        with os.fdopen(descriptor) as file:
            asked = json.load(file)
        become(asked)
