"""Where tiktoken's vocabularies lie on this machine. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_CACHE_VARIABLES = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
_CARRIED = (
    ("litellm", "litellm_core_utils/tokenizers"),
    ("llama_index", "core/_static/tiktoken_cache"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A published vocabulary file; tiktoken keeps it under the SHA-1 of its address."""

    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name under which tiktoken's cache keeps it."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


_PUBLISHED = "https://openaipublic.blob.core.windows.net/encodings/"
_CL100K = Vocabulary(
    url=_PUBLISHED + "cl100k_base.tiktoken",
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
)
_O200K = Vocabulary(
    url=_PUBLISHED + "o200k_base.tiktoken",
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
)
VOCABULARIES: Mapping[str, Vocabulary] = {"cl100k_base": _CL100K, "o200k_base": _O200K, "o200k_harmony": _O200K}


def vocabulary_at_hand(encoding: str, env: Mapping[str, str] = os.environ) -> Path | None:
    """The folder that holds the intact vocabulary of a tiktoken encoding; None if there is none on this machine."""
    vocabulary = VOCABULARIES.get(encoding)
    if vocabulary is None:
        return None
    return next((folder for folder in _folders(env) if _intact(folder / vocabulary.file_name, vocabulary)), None)


def _folders(env: Mapping[str, str]) -> Iterator[Path]:
    chosen = next((env[name] for name in _CACHE_VARIABLES if env.get(name)), None)
    yield Path(chosen) if chosen else Path(tempfile.gettempdir()) / "data-gym-cache"
    for package, inside in _CARRIED:
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(root) / inside


def _intact(path: Path, vocabulary: Vocabulary) -> bool:
    """Tiktoken deletes and downloads a damaged file, so that it must not see one."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == vocabulary.sha256
    except OSError:
        return False
