"""From a name to a reranker: ``listwise``, ``listwise:full``, ``listwise:sliding``, ``cross:MODEL``."""

from __future__ import annotations

from typing import cast, get_args

from coa.config import Settings
from coa.errors import UsageError
from coa.events import Emit, ignore
from coa.retrieval.rerank.cross_encoder import CrossEncoderReranker
from coa.retrieval.rerank.listwise import ListwiseReranker
from coa.retrieval.rerank.windows import Listwise, Mode


def resolve_reranker(name: str, settings: Settings, emit: Emit = ignore) -> ListwiseReranker | CrossEncoderReranker:
    """The reranker of a name.

    Args:
        name: ``listwise`` with perhaps ``:auto``, ``:full`` or ``:sliding``, which asks the model of the settings; or
            ``cross:`` and the folder or the name of a cross-encoder.
        settings: Model and limits.
        emit: Told of each call.

    Raises:
        UsageError: it is none of these.
    """
    kind, colon, what = name.partition(":")
    if kind == "listwise" and (not colon or what in get_args(Mode)):
        return ListwiseReranker(settings, Listwise(mode=cast("Mode", what or "auto")), emit=emit)
    if kind == "cross" and what:
        return CrossEncoderReranker(what)
    raise UsageError(
        f"unknown reranker {name!r}", hint="Give listwise, listwise:full, listwise:sliding or cross:FOLDER."
    )
