"""Runs the real command in forks of one process that has loaded everything, so that a thousand runs take minutes.

A line on standard input is a JSON object: ``arguments``, ``env``, ``stdin`` (text or null), ``out`` (a file). The
answer is two lines: the process id when the command begins, then its exit code, negative for a signal.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import langgraph.graph  # noqa: F401 - loaded once, for all
import openai  # noqa: F401

import coa.api
import coa.attribution.run
import coa.cli.main
import coa.evals.run
import coa.pipelines.registry
import coa.retrieval.index
import coa.serving.openai
import coa.writing.run


def command(asked: dict[str, Any]) -> None:
    """In the fork: be `coa` with these words, and leave with its code."""
    code = 1
    try:
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        said = os.open(asked["out"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        Path(asked["out"] + ".in").write_text(asked["stdin"] or "")
        for source, target in ((os.open(asked["out"] + ".in", os.O_RDONLY), 0), (out, 1), (said, 2)):
            os.dup2(source, target)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the parent's has read ahead
        os.environ.update(asked["env"])
        os.chdir(Path(asked["out"]).parent)
        sys.argv = ["coa", *asked["arguments"]]
        coa.cli.main.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    if (child := os.fork()) == 0:
        command(json.loads(line))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
