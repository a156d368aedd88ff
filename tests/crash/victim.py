"""A run that kills itself: ``victim.py BOOK RUNS HITS K when``, ``when`` being after, before or never.

``before``: the K-th reply is paid for, but the process dies before the journal has it. ``after``: it dies right after
the journal has it. Every call of the model adds a line to HITS.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import coa
from coa.events import CallDone, Event
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel

book, runs, hits, k, when = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
calls = 0
written = 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say(request: Request) -> Reply:
    global calls
    with hits.open("a") as file:
        file.write("call\n")
    calls += 1
    if when == "before" and calls == k:
        die()
    digest = hashlib.sha256(request.messages[-1].content.encode()).hexdigest()[:12]
    return Reply(text=f"Notes {digest}.", finish="stop", model="m", prompt_tokens=100, completion_tokens=10)


def listen(event: Event) -> None:
    global written
    if isinstance(event, CallDone) and not event.from_journal:
        written += 1
        if when == "after" and written == k:
            die()


model = ScriptedModel(say, window=1250)
answer = coa.ask(book, "What was written?", model=model, run_dir=runs, on_event=listen)
sys.stdout.write(answer.text)
