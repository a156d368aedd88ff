"""Where text goes: results to standard output or a file, notes to standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from coa.errors import StorageFailed


def writable(output: Path | None) -> Path | None:
    """Refuse a file that cannot be written before anything is spent on its content; ``-`` is standard output.

    Raises:
        StorageFailed: it is a folder, or stands in none that can be written.
    """
    if output is None or str(output) == "-":
        return None
    folder = output.parent
    if output.is_dir():
        problem = "it is a folder"
    elif not folder.is_dir():
        problem = f"there is no folder {str(folder)!r}"
    elif not os.access(folder if output.is_file() or not output.exists() else output, os.W_OK):
        problem = f"{str(folder)!r} cannot be written"
    else:
        return output
    raise StorageFailed(f"cannot write {str(output)!r}: {problem}", hint="Name a file in a folder of yours.")


def write_result(text: str, output: Path | None = None) -> None:
    """Write a result whole, as UTF-8 and without touching its line breaks.

    Raises:
        StorageFailed: it cannot be written, to a full disk for instance.
    """
    from coa.runtime.files import write_output

    data = text.encode("utf-8", "replace")
    if output is None:
        _write_to_stdout(data)
    else:
        write_output(output, data)


def _write_to_stdout(data: bytes) -> None:
    if sys.stdout is None:
        raise StorageFailed("there is no standard output", hint="Name a file with -o.")
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


def _give_up_stdout() -> None:
    """So that the interpreter does not fail once more over what is left in the buffer, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(message: str) -> None:
    """A line for the person at the terminal; where nobody can read it, the run goes on all the same."""
    from coa.report import printable

    if sys.stderr is not None:  # Closed by the shell (`2>&-`): `print` would take standard output instead.
        with suppress(OSError):
            print(printable(message), file=sys.stderr, flush=True)  # noqa: T201


def on_terminal() -> bool:
    """Whether a person watches standard error."""
    return sys.stderr is not None and sys.stderr.isatty()
