"""Modules of other libraries, which are here only if the user installed them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from coa.errors import MissingExtra


def required(module: str, package: str) -> Any:
    """A module of an optional package. Such packages are handled as Any: types are checked where none is installed.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        raise MissingExtra(f"this adapter needs {package}", hint=f"pip install {package}") from None
