"""Where a value stands in a YAML file, so that a mistake in it can be named with its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast


def line_of(text: str, path: Sequence[Any]) -> int:
    """The line of a value in a YAML document, as near as the path leads."""
    import yaml

    # PyYAML has no types: its nodes are handled as Any here and nowhere else.
    module: Any = yaml
    node: Any = module.compose(text, Loader=module.SafeLoader)
    for key in path:
        found = _child(node, key)
        if found is None:
            break
        node = found
    return int(node.start_mark.line) + 1 if node is not None else 1


def _child(node: Any, key: Any) -> Any:
    entries: Any = getattr(node, "value", None)
    if not isinstance(entries, list):
        return None
    if node.id == "mapping":
        return next((value for name, value in cast("list[tuple[Any, Any]]", entries) if name.value == key), None)
    items = cast("list[Any]", entries)
    return items[key] if isinstance(key, int) and key < len(items) else None
