"""Load prompt files from the package, or from a folder of the user's that overrides some of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coa.errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

_FENCE = "---\n"


@dataclass(frozen=True)
class Prompt:
    """One prompt: its template, the inputs that it names, and the sha256 of the file it came from."""

    name: str
    version: int
    inputs: frozenset[str]
    sha256: str
    template: Template

    def render(self, **values: Any) -> str:
        """Fill the template.

        Raises:
            UsageError: if the values given are not exactly the inputs that the prompt declares.
        """
        if values.keys() != self.inputs:
            odd = ", ".join(sorted(values.keys() ^ self.inputs))
            raise UsageError(
                f"prompt {self.name!r} got the wrong inputs: {odd}", hint="Check the prompt's front matter."
            )
        return self.template.render(values)


class Prompts:
    """The prompts by name, read on first use.

    Args:
        override: A folder whose ``NAME.md`` files replace the packaged ones; each must declare the same inputs.
    """

    def __init__(self, override: Path | None = None) -> None:
        self._override = override
        self._loaded: dict[str, Prompt] = {}

    @cached_property
    def _environment(self) -> SandboxedEnvironment:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        return SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    def __getitem__(self, name: str) -> Prompt:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Prompt:
        packaged = self._parse(name, files("coa.prompts").joinpath(f"{name}.md").read_text("utf-8"))
        if self._override is None or not (own := self._override / f"{name}.md").is_file():
            return packaged
        prompt = self._parse(name, own.read_text("utf-8"))
        if prompt.inputs != packaged.inputs:
            raise UsageError(
                f"{str(own)!r} declares other inputs than the prompt it replaces",
                hint=f"Declare exactly these inputs: {', '.join(sorted(packaged.inputs))}.",
            )
        return prompt

    def _parse(self, name: str, source: str) -> Prompt:
        try:
            _, head, body = source.split(_FENCE, 2)
            fields = dict(line.split(":", 1) for line in head.strip().splitlines())
            version = int(fields["version"])
            inputs = frozenset(word.strip() for word in fields["inputs"].strip(" []").split(","))
        except (ValueError, KeyError):
            raise UsageError(
                f"prompt {name!r} has no valid front matter", hint="Begin with ---, version:, inputs: and --- again."
            ) from None
        sha256 = hashlib.sha256(source.encode()).hexdigest()
        return Prompt(name, version, inputs, sha256, self._environment.from_string(body))


PRESETS = ("memagent",)
"""Packaged folders of prompts."""


def prompts_of(name: str | None) -> Prompts:
    """The packaged prompts, with those of a preset or of a folder in their place.

    Raises:
        UsageError: there is no such preset or folder, or the folder holds a file that is no prompt's.
    """
    if name is None:
        return Prompts()
    folder = Path(str(files("coa.prompts").joinpath(name))) if name in PRESETS else Path(name)
    known = {entry.name for entry in files("coa.prompts").iterdir() if entry.name.endswith(".md")}
    if not folder.is_dir():
        raise UsageError(f"there is no folder of prompts {name!r}", hint=f"Name a folder, or {', '.join(PRESETS)}.")
    if odd := sorted({path.name for path in folder.glob("*.md")} - known):
        raise UsageError(f"{odd[0]!r} in {name!r} replaces no prompt", hint=f"Prompts are: {', '.join(sorted(known))}.")
    return Prompts(folder)
