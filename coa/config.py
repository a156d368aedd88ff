"""Settings: config file < environment (``COA_*``) < arguments. Nothing else reads settings from the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coa.errors import UsageError
from coa.nearest import nearest

ENV_PREFIX = "COA_"


class Settings(BaseModel):
    """How a run is carried out (a `coa.types.Task` says what it does)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None, description="offline, openai:NAME, vllm:NAME, litellm:PROVIDER/NAME, scripted:FILE"
    )
    base_url: str | None = Field(default=None, description="Address of an OpenAI-compatible server, ending in /v1")
    fallback: tuple[str, ...] = Field(default=(), description="Models that take over when the one before failed")
    window: int | None = Field(default=None, ge=256, description="Tokens of prompt and reply together")
    topology: str = Field(default="chain", description="How the agents are connected")
    order: str = Field(default="ltr", description="In which order the chunks are read")
    embedder: str | None = Field(default=None, description="Measures likeness for orders: minilm, or a model's folder")
    notes: str = Field(default="free", description="What workers hand on: free text, or a structured memory")
    reopen: int = Field(
        default=0, ge=0, le=64, description="Parts that may be read again for what the notes leave open"
    )
    prompts: str | None = Field(
        default=None, description="A folder of prompts that replace the packaged ones, or memagent"
    )
    paths: str = Field(default="one", description="Whether the documents are read in several ways, one answer selected")
    select: str = Field(default="auto", description="How the answer of several readings is selected")
    concurrency: int = Field(default=8, ge=1, le=1024, description="Model calls in flight at most")
    retries: int = Field(default=8, ge=0, le=100, description="How often a failed call is sent again")
    timeout: float = Field(default=600.0, gt=0, description="Seconds for one model call, whole")
    max_cost: float | None = Field(default=None, ge=0, description="US dollars at most")
    max_calls: int | None = Field(default=None, ge=0, description="Model calls at most")
    max_tokens: int | None = Field(default=None, ge=0, description="Tokens at most, prompts and replies together")
    deadline: float | None = Field(default=None, gt=0, description="Seconds for the whole run")
    prices: tuple[float, float] | None = Field(default=None, description="US dollars per million tokens: prompt, reply")
    run_dir: Path | None = Field(
        default=None, description="Where runs are kept; the default is the user's state directory"
    )
    stream: bool = Field(default=False, description="Tell the final text piece by piece while it is written")
    journal: bool = Field(default=True, description="Keep a journal of the calls, so that the run can be resumed")
    durable: bool = Field(default=False, description="Journal survives power loss, not only a killed process (slower)")

    @property
    def method(self) -> dict[str, Any]:
        """What else than topology and order sets a way of reading apart: the fields that are not at their defaults."""
        return self.model_dump(include=set(_METHOD), exclude_defaults=True)


class Options(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments, with what they take; None leaves a field to file and environment.

    Only ``model`` is missing: the functions that take these options take it apart, as a name or an object.
    """

    base_url: str | None
    fallback: Sequence[str] | None
    window: int | None
    topology: str | None
    order: str | None
    embedder: str | None
    notes: str | None
    reopen: int | None
    prompts: str | None
    paths: str | None
    select: str | None
    concurrency: int | None
    retries: int | None
    timeout: float | None
    max_cost: float | None
    max_calls: int | None
    max_tokens: int | None
    deadline: float | None
    prices: tuple[float, float] | None
    run_dir: str | Path | None
    stream: bool | None
    journal: bool | None
    durable: bool | None


_METHOD = ("embedder", "notes", "paths", "prompts", "reopen", "select")


def default_run_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The user's state directory: ``$XDG_STATE_HOME/coa/runs`` or ``~/.local/state/coa/runs``."""
    state = env.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "coa" / "runs"


def config_path(env: Mapping[str, str] = os.environ) -> Path:
    """``$COA_CONFIG``, or ``coa/config.toml`` in the user's configuration directory."""
    if explicit := env.get("COA_CONFIG"):
        return Path(explicit)
    home = env.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "coa" / "config.toml"


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"cannot read the config file {str(path)!r}: {error}", hint="Mend or remove the file."
        ) from None


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    found = {name: env.get(ENV_PREFIX + name.upper()) for name in Settings.model_fields}
    values: dict[str, Any] = {name: value for name, value in found.items() if value}
    for several in ("prices", "fallback"):
        if given := values.get(several):
            values[several] = tuple(given.split(","))
    return values


def load_settings(env: Mapping[str, str] = os.environ, **arguments: Any) -> Settings:
    """Merge the config file, the environment and the arguments; arguments that are None do not count.

    Raises:
        UsageError: for an unknown name or a value out of range, wherever it came from.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings.model_validate(_from_file(config_path(env)) | _from_env(env) | given)
    except ValidationError as error:
        raise _told(error, config_path(env)) from None


def _told(error: ValidationError, path: Path) -> UsageError:
    """What is wrong with the first setting that is, and where to look."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name not in Settings.model_fields:
        hint = f"{nearest(name, Settings.model_fields)} Look at {str(path)!r}."
        return UsageError(f"there is no setting {name!r}", hint=hint)
    return UsageError(
        f"{name}: {first['msg'].lower()} (got {first['input']!r})",
        hint=f"Look at --{name.replace('_', '-')}, {ENV_PREFIX}{name.upper()} and {str(path)!r}.",
    )
