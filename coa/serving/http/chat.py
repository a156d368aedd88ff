"""From a chat to a task over documents: the question is the user's last text, all else is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from coa.documents import Document, Limits, load
from coa.documents.decode import decode
from coa.documents.load import with_own_ids
from coa.errors import InputTooLarge
from coa.serving.http.errors import Refusal, bad_field
from coa.serving.http.fields import Wanted, wanted_of
from coa.serving.http.parts import INSTRUCTING, File, Text, parts_of
from coa.types import Task

Kind = Literal["qa", "summary", "verify"]
MODELS: Mapping[str, Kind] = MappingProxyType({"coa/ask": "qa", "coa/summarize": "summary", "coa/verify": "verify"})
"""The pipelines by the names that clients know them by."""
MESSAGES = "messages"
"""The document that the texts of a chat make."""
_NOTHING = "Put the document before the question: an earlier message or part, or a part of type file."


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A request, understood: what to do, over which documents, and how to reply."""

    model: str
    task: Task
    documents: tuple[Document, ...]
    wanted: Wanted


def chat_of(data: bytes, most: int) -> Chat:
    """Understand a request's body. It decodes and loads files: call it in a thread.

    Args:
        data: The body.
        most: Bytes of a file, inflated or not, and characters of all documents together, at most.

    Raises:
        Refusal: no JSON, no such model, a field that cannot be honoured, or nothing to read.
        InputError: a file cannot be read.
    """
    body = _json(data)
    model = body.get("model")
    if not isinstance(model, str) or model not in MODELS:
        hint = f"There are {', '.join(MODELS)}."
        raise Refusal(404, "ModelNotFound", f"there is no model {model!r}", hint=hint, param="model")
    kind, wanted = MODELS[model], wanted_of(body)
    query, read = _divided(kind, parts_of(body.get("messages")))
    if wanted.choices and kind != "qa":
        raise bad_field("coa.choices", f"{model} takes no choices", "Ask coa/ask.")
    if wanted.words and kind == "verify":
        raise bad_field("coa.words", f"{model} takes no words", "Leave them out.")
    task = Task(kind=kind, query=query, words=wanted.words, choices=wanted.choices)
    return Chat(model=model, task=task, documents=_documents(read, most), wanted=wanted)


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        body: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(400, "UsageError", "the body is no JSON", hint="Send a chat request as JSON.") from None
    if not isinstance(body, dict):
        raise Refusal(400, "UsageError", "the body is no JSON object", hint="Send a chat request as JSON.")
    return cast("dict[str, Any]", body)


def _divided(kind: Kind, parts: Sequence[Text | File]) -> tuple[str | None, list[Text | File]]:
    """The question, claim or focus, and what is read.

    A summary of one text needs no focus: with nothing but a system's text beside it, the last text is read as well.
    """
    last = next((place for place in range(len(parts) - 1, -1, -1) if _asks(parts[place])), None)
    if last is None and kind != "summary":
        raise bad_field("messages", "there is no question", "Put a text of the user's last.")
    rest = [part for place, part in enumerate(parts) if place != last]
    if kind == "summary" and not any(isinstance(part, File) or part.role not in INSTRUCTING for part in rest):
        last, rest = None, list(parts)
    if not rest:
        raise bad_field("messages", "there is nothing to read", _NOTHING)
    asked = None if last is None else parts[last]
    return (asked.text.strip() if isinstance(asked, Text) else None), rest


def _asks(part: Text | File) -> bool:
    return isinstance(part, Text) and part.role == "user"


def _documents(parts: Sequence[Text | File], most: int) -> tuple[Document, ...]:
    """The texts as one document, then the files."""
    limits = Limits(file_bytes=most, member_bytes=most, archive_bytes=most)
    texts = [part for part in parts if isinstance(part, Text)]
    made = [_messages(texts)] if texts else []
    for part in parts:
        if isinstance(part, File):
            made.append(load(part.data, path=part.name, limits=limits))
        if sum(len(document.text) for document in made) > most:
            raise InputTooLarge(f"the documents hold more than {most} characters", hint="Send fewer of them.")
    return with_own_ids(made)


def _messages(texts: Sequence[Text]) -> Document:
    """One text as it stands; several with their speakers in front, as a conversation is written down."""
    whole = texts[0].text if len(texts) == 1 else "\n\n".join(f"{each.role.title()}: {each.text}" for each in texts)
    data = whole.encode("utf-8", "replace")
    decoded = decode(data)
    digest = hashlib.sha256(data).hexdigest()
    return Document(
        id=MESSAGES,
        path=MESSAGES,
        text=decoded.text,
        sha256=digest,
        source_map=decoded.source_map,
        warnings=decoded.warnings,
    )
