"""What a model leaves in a text that is no text: tokens of control, error messages, headings that are none."""

from __future__ import annotations

import re

CONTROL = re.compile(r"<\|[a-z_]+\|>|\$(?:STEP|PLAN|TEXT|INST)\$|\{\{")
ERROR = re.compile(
    r"^\W*(?:error[: ]|exception[: ]|traceback \(most|rate limit|http \d{3}|internal server error)", re.I
)
PSEUDO_HEADING = re.compile(r"^(?:\*\*|__)[^*_\n]{1,80}(?:\*\*|__):?$")
_COUNTED = re.compile(r"^\W*word count\W*\d[\d,]*(?: words)?\W*$", re.IGNORECASE)
_END = re.compile(r"<\|[a-z_]+\|>")
_ERROR_CHARS = 400


def is_error(text: str) -> bool:
    """Whether a short text is only the message of an error."""
    return len(text) <= _ERROR_CHARS and ERROR.match(text) is not None


def without_residue(text: str) -> str:
    """The text up to the first token of control, without counts of its words and paragraphs that are only bold."""
    end = _END.search(text)
    kept = text[: end.start()] if end else text
    paragraphs = [each for each in kept.split("\n\n") if not _dropped(each.strip())]
    return "\n\n".join(paragraphs).strip()


def _dropped(paragraph: str) -> bool:
    return bool(PSEUDO_HEADING.match(paragraph) or _COUNTED.match(paragraph))
