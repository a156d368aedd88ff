"""A written text as one HTML page of its own: headings with anchors, footnotes with ways back, nothing loaded."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from coa.writing.apparatus import slugs
from coa.writing.language import language_of
from coa.writing.markdown import NOTE_BODY, headings

_NOTE = re.compile(r"\[\^([^\]\s]+)\]")


def html_of(markdown: str) -> str:
    """A page of its own; HTML and images inside the text are shown as text, not obeyed."""
    notes = {match[1]: match[2].strip() for match in NOTE_BODY.finditer(markdown)}
    text = NOTE_BODY.sub("", markdown)
    title = next((found for level, found in headings(text) if level == 1), "Document")
    renderer = _renderer(notes)
    env: dict[str, Any] = {}
    body = renderer.render(text, env)
    if used := env.get("notes", {}):
        body += _listed(renderer, used, notes)
    language = language_of(text) or ""
    style = files("coa.writing").joinpath("page.css").read_text("utf-8")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>"
    )
    return f'<!doctype html>\n<html lang="{language}"><head>{head}</head>\n<body>\n{body}</body></html>\n'


def _renderer(notes: dict[str, str]) -> Any:
    from markdown_it import MarkdownIt

    # The rules of markdown-it take its own states, which have no useful types: Any here and nowhere else.
    made: Any = MarkdownIt("commonmark", {"html": False}).enable("table")

    def note(state: Any, silent: bool) -> bool:
        match = _NOTE.match(state.src, state.pos)
        if match is None or match[1] not in notes:
            return False
        if not silent:
            used: dict[str, int] = state.env.setdefault("notes", {})
            used[match[1]] = used.get(match[1], 0) + 1
            token = state.push("note", "sup", 0)
            token.meta = {"name": match[1], "number": list(used).index(match[1]) + 1, "time": used[match[1]]}
        state.pos = match.end()
        return True

    made.inline.ruler.before("link", "note", note)
    made.add_render_rule("note", _mark)
    made.add_render_rule("image", _instead)
    made.core.ruler.push("anchors", _anchors)
    return made


def _mark(_: Any, tokens: Sequence[Any], index: int, *__: object) -> str:
    meta = tokens[index].meta
    number, time = meta["number"], meta["time"]
    return f'<sup><a href="#note-{number}" id="mark-{number}-{time}" role="doc-noteref">{number}</a></sup>'


def _instead(_: Any, tokens: Sequence[Any], index: int, *__: object) -> str:
    """What an image shows where none is loaded."""
    return html.escape(tokens[index].content)


def _anchors(state: Any) -> None:
    """Give each heading the anchor that the contents point to."""
    opened = [i for i, token in enumerate(state.tokens) if token.type == "heading_open"]
    for index, slug in zip(opened, slugs(state.tokens[i + 1].content for i in opened), strict=True):
        state.tokens[index].attrSet("id", slug)


def _listed(renderer: Any, used: dict[str, int], notes: dict[str, str]) -> str:
    rows: list[str] = []
    for number, (name, times) in enumerate(used.items(), 1):
        back = " ".join(_back(number, time) for time in range(1, times + 1))
        rows.append(f'<li id="note-{number}">{renderer.renderInline(notes[name])} {back}</li>')
    return (
        '<section role="doc-endnotes">\n<h2 id="notes">Notes</h2>\n<ol>\n' + "\n".join(rows) + "\n</ol>\n</section>\n"
    )


def _back(number: int, time: int) -> str:
    """The way back to one of the places that a note is marked at."""
    shown = "↩" if time == 1 else str(time)
    return f'<a href="#mark-{number}-{time}" role="doc-backlink" aria-label="Back to the text">{shown}</a>'
