"""Subtitles (SRT, WebVTT): one line a cue, with the time at which it begins in front."""

from __future__ import annotations

import re
from itertools import pairwise

from coa.documents.decode import Decoded
from coa.documents.document import Document, SourceMap

_CUE = re.compile(r"^(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{3})[ \t]*-->[^\n]*\n", re.MULTILINE)
_VOICE = re.compile(r"<v(?:\.[\w.]+)?\s+([^>\n]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^>\n]*>")


def is_subtitles(text: str) -> bool:
    """Whether a text is subtitles: it begins with a cue, or says that it is WebVTT."""
    return text.startswith("WEBVTT") or _CUE.search(text[:400]) is not None


def read_subtitles(decoded: Decoded) -> Decoded:
    """``[00:01:02] what is said``, a line a cue; the map leads back to the bytes of the cue's text."""
    source = Document(id="", path="", text=decoded.text, sha256="", source_map=decoded.source_map)
    lines: list[str] = []
    offsets: list[int] = []
    bytes_at: list[int] = []
    size = 0
    for stamp, start, said in _cues(decoded.text):
        line = f"[{stamp}] {said}"
        if (byte := source.byte(start)) is not None:
            offsets.append(size)
            bytes_at.append(byte)
        lines.append(line)
        size += len(line) + 1
    text = "\n".join(lines) + "\n" if lines else ""
    table = SourceMap(offsets=tuple(offsets), bytes_at=tuple(bytes_at), encoding="ascii")
    return Decoded(text=text, source_map=table, warnings=decoded.warnings)


def _cues(text: str) -> list[tuple[str, int, str]]:
    matches = list(_CUE.finditer(text))
    ends = [following.start() for _, following in pairwise(matches)] + [len(text)]
    cues: list[tuple[str, int, str]] = []
    for match, end in zip(matches, ends, strict=True):
        body = text[match.end() : end].split("\n\n")[0]
        said = " ".join(_TAG.sub("", _VOICE.sub(r"\1: ", body)).split())
        if said:
            hours, minutes, seconds = match[1] or "0", match[2], match[3]
            cues.append((f"{int(hours):02}:{int(minutes):02}:{seconds}", match.start(), said))
    return cues
