"""Small text files that a user names: questions, records, tables, examples, briefs."""

from __future__ import annotations

from pathlib import Path

from coa.errors import InputNotFound, InputUnreadable


def there(path: str | Path) -> bool:
    """Whether something stands at a path. Text given in its place may be too long for one: `Path` would raise."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, with or without a mark of its order of bytes.

    Raises:
        InputNotFound: there is no such file.
        InputUnreadable: it cannot be read as UTF-8.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputNotFound(f"there is no file {str(path)!r}") from None
    except UnicodeDecodeError as error:
        raise InputUnreadable(f"cannot read {str(path)!r}: {error}", hint="Save it as UTF-8.") from None
    except OSError as error:
        raise InputUnreadable(f"cannot read {str(path)!r}: {error}") from None


def text_or_file(value: str) -> str:
    """A text that was given, or, as ``@FILE``, that of a file.

    Raises:
        InputNotFound, InputUnreadable: as `read_text`.
    """
    return read_text(value[1:]) if value.startswith("@") else value
