"""DOCX, EPUB and PDF by pandoc and typst (extra ``export``), from a syntax tree in which nothing is obeyed."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from coa.errors import MissingExtra
from coa.writing.apparatus import FEWEST_HEADINGS
from coa.writing.language import language_of
from coa.writing.markdown import CONTENTS, headings
from coa.writing.reference import contents_field, reference_docx

FORMATS = (".docx", ".epub", ".pdf")
_SOURCE = "commonmark+pipe_tables+footnotes"
_DEEPEST = 3


def check_installed(suffix: str) -> None:
    """Refuse a format whose tools are not there.

    Raises:
        MissingExtra: pandoc, or typst for PDF, is not installed.
    """
    needed = ("pypandoc", "typst") if suffix == ".pdf" else ("pypandoc",)
    if missing := [name for name in needed if find_spec(name) is None]:
        raise MissingExtra(
            f"writing {suffix} needs {' and '.join(missing)}", hint="pip install 'chain-of-agents[export]'"
        )


def office_file(markdown: str, suffix: str) -> bytes:
    """The content of a file in one of `FORMATS`.

    Raises:
        MissingExtra: pandoc, or typst for PDF, is not installed.
    """
    check_installed(suffix)
    # Neither package ships types: handled as Any here and nowhere else.
    pandoc: Any = import_module("pypandoc")
    body = CONTENTS.sub("", markdown)
    read = ["--sandbox", "--shift-heading-level-by=-1"]
    tree = tamed(json.loads(pandoc.convert_text(body, "json", format=_SOURCE, extra_args=read)))
    contents = sum(1 < level <= _DEEPEST for level, _ in headings(body)) >= FEWEST_HEADINGS
    with TemporaryDirectory() as folder:
        if suffix == ".pdf":
            return _typeset(pandoc, tree, markdown, contents, Path(folder))
        return _converted(pandoc, tree, markdown, suffix, contents, Path(folder))


def tamed(tree: Any) -> Any:
    """Pandoc's tree without images and raw markup, which become their text; headings named, each note told once.

    A note that comes again says where it stands: office formats know no two marks of one note.
    """
    return _Tamer().walk(tree)


class _Tamer:
    def __init__(self) -> None:
        self._notes: dict[str, int] = {}
        self._count = self._headings = 0

    def walk(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.walk(each) for each in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        found = cast("dict[str, Any]", node)
        match found.get("t"):
            case "RawInline":
                return _str(found["c"][1])
            case "RawBlock":
                return {"t": "Para", "c": [_str(found["c"][1])]}
            case "Image":
                return {"t": "Span", "c": [_named(""), self.walk(found["c"][1])]}
            case "Note":
                return self._note(found)
            case "Header":
                self._headings += 1
                level, _, inlines = found["c"]
                return {"t": "Header", "c": [level, _named(f"h{self._headings}"), self.walk(inlines)]}
            case _:
                return {name: self.walk(value) for name, value in found.items()}

    def _note(self, note: dict[str, Any]) -> Any:
        self._count += 1
        first = self._notes.setdefault(json.dumps(note["c"]), self._count)
        if first == self._count:
            return {"t": "Note", "c": self.walk(note["c"])}
        return {"t": "Note", "c": [{"t": "Para", "c": [_str(f"As note {first}.")]}]}


def _named(name: str) -> list[Any]:
    """The attributes of an element that has only a name."""
    return [name, [], []]


def _str(text: str) -> dict[str, Any]:
    return {"t": "Str", "c": text}


def _title(markdown: str) -> str:
    return next((found for level, found in headings(markdown) if level == 1), "Document")


def _metadata(markdown: str) -> list[str]:
    language = language_of(markdown)
    return [f"--metadata=title={_title(markdown)}", *([f"--metadata=lang={language}"] if language else [])]


def _converted(pandoc: Any, tree: Any, markdown: str, suffix: str, contents: bool, folder: Path) -> bytes:
    made = folder / f"text{suffix}"
    extra = ["--sandbox", "--syntax-highlighting=none", *_metadata(markdown)]
    if suffix == ".epub":
        extra += ["--toc", "--toc-depth=2", "--split-level=1", "--metadata=toc-title=Contents"]
    else:
        reference = folder / "reference.docx"
        reference.write_bytes(reference_docx(pandoc.get_pandoc_path()))
        extra.append(f"--reference-doc={reference}")
        if contents:
            field = contents_field(_entries(tree))
            tree = {**tree, "blocks": [{"t": "RawBlock", "c": ["openxml", field]}, *tree["blocks"]]}
    pandoc.convert_text(json.dumps(tree), suffix[1:], format="json", outputfile=str(made), extra_args=extra)
    return made.read_bytes()


def _entries(tree: Any) -> list[tuple[int, str, str]]:
    """Level, text and name of each heading of the first two levels."""
    headers = [block["c"] for block in tree["blocks"] if block["t"] == "Header"]
    return [(level, _plain(inlines), attributes[0]) for level, attributes, inlines in headers if level <= _DEEPEST - 1]


def _plain(inlines: Any) -> str:
    """The text of a heading."""
    if isinstance(inlines, list):
        return "".join(_plain(each) for each in cast("list[Any]", inlines))
    if not isinstance(inlines, dict):
        return ""
    node = cast("dict[str, Any]", inlines)
    match node["t"]:
        case "Str":
            return str(node["c"])
        case "Code":
            return str(node["c"][1])
        case "Space" | "SoftBreak" | "LineBreak":
            return " "
        case "Note":
            return ""
        case _:
            return _plain(node.get("c"))


def _typeset(pandoc: Any, tree: Any, markdown: str, contents: bool, folder: Path) -> bytes:
    source, made = folder / "text.typ", folder / "text.pdf"
    arguments = ["--sandbox", "--syntax-highlighting=none"]
    body: str = pandoc.convert_text(json.dumps(tree), "typst", format="json", extra_args=arguments)
    head = files("coa.writing").joinpath("page.typ").read_text("utf-8")
    title = json.dumps(_title(markdown), ensure_ascii=False)[1:-1]
    head = head.replace("@LANGUAGE@", language_of(markdown) or "en").replace("@TITLE@", title)
    if contents:
        head += "#outline(title: none, depth: 2, indent: 1.2em)\n#pagebreak(weak: true)\n"
    source.write_text(f"{head}\n{body}", "utf-8")
    typst: Any = import_module("typst")
    typst.compile(str(source), output=str(made), root=str(folder))
    return made.read_bytes()
