"""`Fence`: marks off untrusted text in a prompt so that the text cannot close its own fence or forge a reference."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from coa.documents import Document

_LETTERS = "bcdfghjklmnpqrstvwxz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A token and a marker tag that occur nowhere in the documents of a run.

    Both follow from the documents alone: a resumed run and another question over the same book render the same
    prompts, so that the journal and a server's prefix cache still fit.

    Attributes:
        token: 16 hexadecimal digits that close and open the fence.
        tag: Three consonants; the markers of verified quotes are ``[tag1]``, ``[tag2]``, ...
    """

    token: str
    tag: str

    @property
    def open(self) -> str:
        """The line before the text."""
        return f"<<<TEXT {self.token}"

    @property
    def close(self) -> str:
        """The line after the text."""
        return f"TEXT {self.token}>>>"


def fence_for(documents: Sequence[Document]) -> Fence:
    """Derive the fence of a set of documents, and check that none of them contains it."""
    seed = "\n".join(document.sha256 for document in documents)
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{seed}\n{attempt}".encode()).digest()
        fence = Fence(token=digest[:8].hex(), tag="".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[8:11]))
        if not any(fence.token in document.text or f"[{fence.tag}" in document.text for document in documents):
            return fence
        attempt += 1
