"""An answer as others read it: the JSON of the command line, and plain text for a terminal."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from coa.types import Answer, Choice, Citation, Coverage, Reading, Source, Span, Step, Unread, Usage

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_QUOTE_CHARS = 200


def answer_to_dict(answer: Answer) -> dict[str, Any]:
    """The object that ``--json`` prints; documented in ``docs/cli.md``."""
    usage = answer.usage
    return {
        "status": answer.status,
        "text": answer.text,
        "run_id": answer.run_id,
        "model": answer.model,
        "documents": [
            {"id": source.id, "path": source.path, "sha256": source.sha256, "chars": source.chars}
            for source in answer.documents
        ],
        "citations": [_citation(citation) for citation in answer.citations],
        "coverage": {
            "chunks": answer.coverage.chunks,
            "read": answer.coverage.read,
            "skipped": [_unread(unread) for unread in answer.coverage.skipped],
            "failed": [_unread(unread) for unread in answer.coverage.failed],
        },
        "usage": {
            "calls": usage.calls,
            "calls_from_journal": usage.calls_from_journal,
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost_usd": usage.cost_usd,
            "seconds": round(usage.seconds, 3),
            "context_tokens": usage.context_tokens,
        },
        "warnings": list(answer.warnings),
        **({} if answer.choice is None else {"choice": asdict(answer.choice)}),
        **({"batch": [answer_to_dict(each) for each in answer.batch]} if answer.batch else {}),
        **({"readings": [asdict(reading) for reading in answer.readings]} if answer.readings else {}),
        **({"steps": [asdict(step) for step in answer.steps]} if answer.steps else {}),
    }


def answer_to_json(answer: Answer) -> str:
    """One JSON object, one line. Lone surrogates occur in paths only: documents are loaded without them."""
    return json.dumps(answer_to_dict(answer), ensure_ascii=False)


def answer_from_json(text: str) -> Answer:
    """An answer that `answer_to_json` wrote.

    Raises:
        RunNotFound: it is damaged.
    """
    from coa.errors import RunNotFound

    try:
        data: dict[str, Any] = json.loads(text)
        return _answer_from(data)
    except (ValueError, KeyError, TypeError):
        raise RunNotFound("the run's answer is damaged", hint="Take the run up again: coa resume RUN") from None


def _answer_from(data: dict[str, Any]) -> Answer:
    coverage, usage = data["coverage"], data["usage"]
    return Answer(
        text=data["text"],
        status=data["status"],
        run_id=data["run_id"],
        model=data["model"],
        documents=tuple(Source(**source) for source in data["documents"]),
        citations=tuple(_citation_from(citation) for citation in data["citations"]),
        coverage=Coverage(
            chunks=coverage["chunks"],
            read=coverage["read"],
            skipped=tuple(_unread_from(unread) for unread in coverage["skipped"]),
            failed=tuple(_unread_from(unread) for unread in coverage["failed"]),
        ),
        usage=Usage(**usage),
        warnings=tuple(data["warnings"]),
        choice=_choice_from(data.get("choice")),
        readings=tuple(Reading(**reading) for reading in data.get("readings", ())),
        steps=tuple(Step(**step) for step in data.get("steps", ())),
        batch=tuple(_answer_from(each) for each in data.get("batch", ())),
    )


def render_text(answer: Answer) -> str:
    """The text and the list of its citations, safe to print: control characters of a document are shown, not obeyed.

    Code carries no numbers: it stands alone, so that it can be put into a file.
    """
    lines = [printable(answer.text)]
    if numbered := [citation for citation in answer.citations if citation.marker]:
        paths = {source.id: source.path for source in answer.documents}
        lines += ["", *(_citation_line(citation, paths) for citation in numbered)]
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """Text that cannot steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _citation_line(citation: Citation, paths: dict[str, str]) -> str:
    quote = " ".join(citation.quote.split())
    if len(quote) > _QUOTE_CHARS:
        quote = quote[: _QUOTE_CHARS - 1] + "…"
    page = f" (page {citation.page})" if citation.page is not None else ""
    where = f"{paths.get(citation.span.doc, citation.span.doc)}:{citation.line}{page}"
    return printable(f"[{citation.marker}] {where}: “{quote}”")


def _citation(citation: Citation) -> dict[str, Any]:
    return {
        "marker": citation.marker,
        "doc": citation.span.doc,
        "start": citation.span.start,
        "end": citation.span.end,
        "quote": citation.quote,
        "page": citation.page,
        "line": citation.line,
        "claim": None if citation.claim is None else list(citation.claim),
    }


def _unread(unread: Unread) -> dict[str, Any]:
    return {"doc": unread.span.doc, "start": unread.span.start, "end": unread.span.end, "reason": unread.reason}


def _citation_from(data: dict[str, Any]) -> Citation:
    span = Span(doc=data["doc"], start=data["start"], end=data["end"])
    claim = None if data["claim"] is None else (data["claim"][0], data["claim"][1])
    fields = {name: data[name] for name in ("marker", "quote", "line", "page")}
    return Citation(span=span, claim=claim, **fields)


def _choice_from(data: dict[str, Any] | None) -> Choice | None:
    if data is None:
        return None
    return Choice(options=tuple(data["options"]), chosen=data["chosen"], outcome=data["outcome"])


def _unread_from(data: dict[str, Any]) -> Unread:
    return Unread(span=Span(doc=data["doc"], start=data["start"], end=data["end"]), reason=data["reason"])
