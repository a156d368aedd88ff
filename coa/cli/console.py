"""Where text goes: results to standard output or a file, notes to standard error."""

from __future__ import annotations

import sys
from pathlib import Path


def write_result(text: str, output: Path | None = None) -> None:
    """Write a result whole, as UTF-8 and without touching its line breaks."""
    data = text.encode("utf-8", "replace")
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    from coa.runtime.files import write_atomically

    write_atomically(output, data)


def note(message: str) -> None:
    """A line for the person at the terminal."""
    from coa.report import printable

    print(printable(message), file=sys.stderr, flush=True)  # noqa: T201
