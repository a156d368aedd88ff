"""Where text goes: results to standard output or a file, notes to standard error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from coa.errors import StorageFailed


def write_result(text: str, output: Path | None = None) -> None:
    """Write a result whole, as UTF-8 and without touching its line breaks.

    Raises:
        StorageFailed: it cannot be written, to a full disk for instance.
    """
    from coa.runtime.files import write_atomically

    data = text.encode("utf-8", "replace")
    if output is None:
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            _give_up_stdout()  # Whoever reads has had enough.
        except OSError as error:
            _give_up_stdout()
            raise StorageFailed(
                f"the result cannot be written: {error.strerror}", hint="Free some space, or name a file with -o."
            ) from None
        return
    write_atomically(output, data)


def _give_up_stdout() -> None:
    """So that the interpreter does not fail once more over what is left in the buffer, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(message: str) -> None:
    """A line for the person at the terminal."""
    from coa.report import printable

    print(printable(message), file=sys.stderr, flush=True)  # noqa: T201
