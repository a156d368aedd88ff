"""A process of its own for each PDF: what a hostile file asks for, it asks of that process, which the system bounds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import Any, cast

from coa.documents.limits import Limits
from coa.errors import CorruptFile, EncryptedDocument, InputError, InputTooLarge, InputUnreadable, UnsafeInput

_START = (
    "import json, sys; sys.path[:], limits, size = json.loads(sys.argv[1]); "
    "from coa.documents.limits import Limits; from coa.documents.pdf_text import main; main(Limits(**limits), size)"
)
_REFUSALS = {cls.__name__: cls for cls in (CorruptFile, EncryptedDocument, InputTooLarge, UnsafeInput)}
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
_WAIT = 4
"""How much longer than its processor time a reading may take, on a busy machine."""
_STARTING = 30.0


def read_apart(data: bytes, name: str, limits: Limits) -> list[str]:
    """The text of each page, read by another process that has none of this one's environment and can write no file.

    Raises:
        EncryptedDocument, CorruptFile, InputTooLarge, UnsafeInput: see `coa.documents.pdf_text.page_texts`; also a
            reader that the system stopped.
        InputUnreadable: no process can be started here.
    """
    try:
        done = subprocess.run(
            reader_command(limits, len(data)),
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
            start_new_session=True,  # A Ctrl-C is this process's to handle.
            timeout=_WAIT * limits.pdf_seconds + _STARTING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_long(name, limits) from None
    except OSError as error:
        hint = "PDFs are read in a process of their own; where none may be started, convert the file to text first."
        raise InputUnreadable(f"{name!r} cannot be read: {error}", hint=hint) from None
    return pages_of(done.returncode, done.stdout, name, limits)


def reader_command(limits: Limits, size: int) -> list[str]:
    """The command that reads a PDF of `size` bytes from its standard input: this Python, with this path."""
    return [sys.executable, "-I", "-c", _START, json.dumps([sys.path, asdict(limits), size])]


def pages_of(returncode: int, said: bytes, name: str, limits: Limits) -> list[str]:
    """What came of a reader: its pages, or the error that it named or died of.

    Raises:
        InputError: see `read_apart`.
    """
    outcome = _parsed(said)
    if returncode == 0 and "pages" in outcome:
        return outcome["pages"]
    if returncode == 0 and outcome.get("error") in _REFUSALS:
        raise _REFUSALS[outcome["error"]](f"{name!r} {outcome['message']}")
    if os.name == "posix" and returncode == -signal.SIGXCPU:
        raise _too_long(name, limits)
    raise CorruptFile(f"{name!r} is damaged: its reader ended with {returncode}")


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        outcome: object = json.loads(said)
    except ValueError:
        return {}
    return cast("dict[str, Any]", outcome) if isinstance(outcome, dict) else {}


def _too_long(name: str, limits: Limits) -> InputError:
    return InputTooLarge(f"{name!r} takes more than {limits.pdf_seconds:g} s to read")
