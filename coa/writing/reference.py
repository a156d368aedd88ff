"""How a DOCX looks: pandoc's own reference document with ruled tables, small notes, contents and page numbers."""

from __future__ import annotations

import io
import re
import subprocess
import zipfile
from collections.abc import Callable
from html import escape

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_LINE = '<w:{side} w:val="single" w:sz="4" w:space="0" w:color="A6A6A6"/>'
_BORDERS = "".join(_LINE.format(side=side) for side in ("top", "left", "bottom", "right", "insideH", "insideV"))
_CELLS = (
    '<w:tblCellMar><w:top w:w="40" w:type="dxa"/><w:left w:w="108" w:type="dxa"/>'
    '<w:bottom w:w="40" w:type="dxa"/><w:right w:w="108" w:type="dxa"/></w:tblCellMar>'
)
_OLD_TABLE = re.compile(r'<w:style w:type="table" w:default="1" w:styleId="Table">.*?</w:style>', re.DOTALL)
_TABLE = (
    '<w:style w:type="table" w:default="1" w:styleId="Table"><w:name w:val="Table"/><w:basedOn w:val="TableNormal"/>'
    f'<w:qFormat/><w:tblPr><w:tblBorders>{_BORDERS}</w:tblBorders>{_CELLS}</w:tblPr><w:tblStylePr w:type="firstRow">'
    '<w:rPr><w:b/></w:rPr><w:tcPr><w:shd w:val="clear" w:color="auto" w:fill="EFEFEF"/></w:tcPr></w:tblStylePr>'
    "</w:style>"
)
_CONTENTS = "".join(
    f'<w:style w:type="paragraph" w:styleId="TOC{level}"><w:name w:val="toc {level}"/><w:basedOn w:val="Normal"/>'
    f'<w:uiPriority w:val="39"/><w:pPr><w:spacing w:before="{before}" w:after="20"/><w:ind w:left="{left}"/></w:pPr>'
    "</w:style>"
    for level, before, left in ((1, 100, 0), (2, 0, 360))
)
_FOOTER = (
    f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:ftr xmlns:w="{_W}"><w:p><w:pPr>'
    '<w:jc w:val="center"/></w:pPr><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText>'
    '</w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>1</w:t></w:r>'
    '<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p></w:ftr>'
)
_FOOTER_PART = (
    '<Override PartName="/word/footer1.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footer+xml"/>'
)
_FOOTER_LINK = f'<Relationship Id="rIdFooter" Type="{_OFFICE}/footer" Target="footer1.xml"/>'
_PAGE = (
    f'<w:sectPr><w:footerReference w:type="default" r:id="rIdFooter" xmlns:r="{_OFFICE}"/>'
    '<w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1418" w:right="1418" w:bottom="1418" w:left="1418" '
    'w:header="709" w:footer="709" w:gutter="0"/></w:sectPr>'
)


def reference_docx(pandoc: str) -> bytes:
    """A reference document for the pandoc at a path."""
    command = [pandoc, "--print-default-data-file", "reference.docx"]
    plain = zipfile.ZipFile(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout))
    changes: dict[str, Callable[[str], str]] = {
        "word/styles.xml": _styles,
        "word/document.xml": lambda text: re.sub(r"<w:sectPr>.*?</w:sectPr>", _PAGE, text, flags=re.DOTALL),
        "word/_rels/document.xml.rels": lambda text: text.replace(
            "</Relationships>", _FOOTER_LINK + "</Relationships>"
        ),
        "[Content_Types].xml": lambda text: text.replace("</Types>", _FOOTER_PART + "</Types>"),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name in plain.namelist():
            data = plain.read(name)
            out.writestr(name, changes[name](data.decode()).encode() if name in changes else data)
        out.writestr("word/footer1.xml", _FOOTER)
    return made.getvalue()


def contents_field(entries: list[tuple[int, str, str]]) -> str:
    """A table of contents as Word keeps one, already filled in: levels 1 and 2, titles, names of bookmarks.

    Word adds page numbers when it brings the field up to date.
    """
    code = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> TOC \\o "1-2" \\h \\z '
        '</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
    )
    rows = [
        f'<w:p><w:pPr><w:pStyle w:val="TOC{level}"/></w:pPr>{"" if index else code}'
        f'<w:hyperlink w:anchor="{escape(anchor)}"><w:r><w:t>{escape(title)}</w:t></w:r></w:hyperlink></w:p>'
        for index, (level, title, anchor) in enumerate(entries)
    ]
    return "".join([*rows, '<w:p><w:r><w:fldChar w:fldCharType="end"/></w:r><w:r><w:br w:type="page"/></w:r></w:p>'])


def _styles(text: str) -> str:
    text = _OLD_TABLE.sub(_TABLE, text)
    small = '<w:pPr><w:spacing w:before="0" w:after="40"/></w:pPr><w:rPr><w:sz w:val="18"/></w:rPr></w:style>'
    text = re.sub(r'(w:styleId="FootnoteText">.*?)</w:style>', rf"\1{small}", text, count=1, flags=re.DOTALL)
    text = re.sub(r'<w:style w:type="paragraph" w:styleId="TOC[12]">.*?</w:style>', "", text, flags=re.DOTALL)
    text = text.replace('<w:sz w:val="24" />', '<w:sz w:val="22" />', 1)
    return text.replace("</w:styles>", _CONTENTS + "</w:styles>")
