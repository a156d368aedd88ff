"""A written answer as a file: Markdown and HTML by themselves, DOCX, EPUB and PDF through pandoc (extra ``export``)."""

from __future__ import annotations

import html
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coa.errors import MissingExtra, UsageError
from coa.runtime.files import write_atomically
from coa.types import Answer

FORMATS = (".md", ".html", ".docx", ".epub", ".pdf")

_STYLE = (
    "body{max-width:42rem;margin:2rem auto;padding:0 1rem;font:1.05rem/1.6 Georgia,serif}"
    "h1,h2,h3{font-family:system-ui,sans-serif;line-height:1.25}"
    "@media(prefers-color-scheme:dark){body{background:#171614;color:#ece8df}}"
)


def markdown_of(answer: Answer) -> str:
    """The text and, where it cites, a list of references."""
    if not answer.citations:
        return answer.text.rstrip() + "\n"
    paths = {source.id: source.path for source in answer.documents}
    lines = [answer.text.rstrip(), "", "## References", ""]
    for citation in answer.citations:
        page = f", page {citation.page}" if citation.page is not None else ""
        quote = " ".join(citation.quote.split())
        where = f"{Path(paths.get(citation.span.doc, citation.span.doc)).name}, line {citation.line}{page}"
        lines.append(f"{citation.marker}. {where}: “{quote}”")
    return "\n".join(lines) + "\n"


def export(answer: Answer, path: Path) -> None:
    """Write the answer in the format that the file's name asks for.

    Raises:
        UsageError: no such format.
        MissingExtra: pandoc is needed and not installed.
        StorageFailed: the file cannot be written.
    """
    suffix = path.suffix.lower()
    markdown = markdown_of(answer)
    if suffix in (".md", ".markdown", ".txt", ""):
        write_atomically(path, markdown.encode())
    elif suffix == ".html":
        write_atomically(path, html_of(markdown).encode())
    elif suffix in FORMATS:
        write_atomically(path, _by_pandoc(markdown, suffix))
    else:
        raise UsageError(f"{suffix!r} is no format to write", hint=f"Choose one of: {', '.join(FORMATS)}.")


def html_of(markdown: str) -> str:
    """A page of its own; HTML inside the text is shown, not obeyed."""
    from markdown_it import MarkdownIt

    title = next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "Document")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}</body></html>\n'


def _by_pandoc(markdown: str, suffix: str) -> bytes:
    needed = ("pypandoc", "typst") if suffix == ".pdf" else ("pypandoc",)
    if missing := [name for name in needed if find_spec(name) is None]:
        raise MissingExtra(
            f"writing {suffix} needs {' and '.join(missing)}", hint="pip install 'chain-of-agents[export]'"
        )
    # Neither package ships types: handled as Any here and nowhere else.
    pandoc: Any = import_module("pypandoc")
    source = "markdown-raw_html-raw_tex-yaml_metadata_block"
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"text{suffix}"
        if suffix != ".pdf":
            pandoc.convert_text(markdown, suffix[1:], format=source, outputfile=str(made), extra_args=["--toc"])
            return made.read_bytes()
        typeset = Path(folder) / "text.typ"
        pandoc.convert_text(markdown, "typst", format=source, outputfile=str(typeset), extra_args=["--standalone"])
        typst: Any = import_module("typst")
        typst.compile(str(typeset), output=str(made))
        return made.read_bytes()
