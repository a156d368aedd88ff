"""Is a reply usable? One place decides, for every agent."""

from __future__ import annotations

import re

from coa.errors import EmptyReply, RefusedReply, TruncatedReply
from coa.serving.base import Reply

_THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)
_NOTHING_NEW = re.compile(r"^\W*no (?:new|further|additional|relevant)(?: or relevant)? information\b", re.IGNORECASE)
_NOTHING_HERE = re.compile(
    r"^\W*(?:there is no (?:new |relevant )|(?:the|this) (?:passage|part|text|section|document|excerpt)[^.]{0,40}?"
    r"(?:contains? no|holds? no|has no|(?:does not|doesn(?:'|’)t) (?:contain|hold|mention|provide|add|state|include)))",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^\W*(?:i(?:'|’)?m sorry|i am sorry|sorry,|i apologi[sz]e|as an ai\b|unfortunately, i (?:cannot|can(?:'|’)t)"
    r"|i (?:cannot|can(?:'|’)t|can not|am unable to|am not able to|won(?:'|’)t) "
    r"(?:assist|help|comply|provide|answer|fulfil|continue|do that|summari[sz]e|process|generate|engage))",
    re.IGNORECASE,
)
_REFUSAL_MAX_CHARS = 400
_NOTHING_MAX_CHARS = 200


def usable(reply: Reply) -> str:
    """The reply's text without its hidden reasoning.

    Raises:
        TruncatedReply: it stopped at the token limit, or the server did not say that it had ended.
        RefusedReply: the model or a filter declined.
        EmptyReply: there is no text.
    """
    if reply.finish in ("filter", "refusal"):
        raise RefusedReply(f"the model {reply.model!r} declined to answer ({reply.finish})")
    text = spoken(reply).strip()
    if reply.finish != "stop":
        reason = "at its token limit" if reply.finish == "length" else "without saying that it had ended"
        raise TruncatedReply(f"the reply of {reply.model!r} stopped {reason}")
    if not text or text.startswith("<think>"):
        raise EmptyReply(f"the model {reply.model!r} answered with nothing")
    if is_refusal(text):
        raise RefusedReply(f"the model {reply.model!r} declined to answer")
    return text


def spoken(reply: Reply) -> str:
    """The reply's text without its hidden reasoning, blanks and line breaks as they came."""
    return _THINKING.sub("", reply.text)


def is_refusal(text: str) -> bool:
    """Whether a short text only says that the model will not do it."""
    return len(text) <= _REFUSAL_MAX_CHARS and _REFUSAL.match(text) is not None


def nothing_new(text: str) -> bool:
    """Whether a worker says that its part adds nothing, in the words it was given or in its own."""
    if len(text) > _NOTHING_MAX_CHARS:
        return False
    return _NOTHING_NEW.match(text) is not None or ("[" not in text and _NOTHING_HERE.match(text) is not None)
