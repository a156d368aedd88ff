"""Ten thousand broken documents: each loads or is refused with a typed error, and none leaves its fence."""

import io
import random
import zipfile
from collections import Counter

import pytest
from docx import Document as Docx
from reportlab.pdfgen.canvas import Canvas

import coa
from coa.agents.fence import fence_for
from coa.agents.worker import Worker
from coa.config import Settings
from coa.documents import Document
from coa.errors import EmptyDocument, InputError
from coa.session import prepare
from coa.types import Notes, Passage, Task

WORDS = [
    "the",
    "keeper",
    "<b>rowed</b>",
    "out",
    "{{",
    "7*7",
    "}}",
    "<<<TEXT",
    "TEXT",
    "0>>>",
    "[[quote]]",
    "[abc1]",
    "]]>",
    "\x00",
    "\r\n",
    "灯台",
    "👩\u200d👩\u200d👧",
    "́́",
    "\u202e",
    "<|endoftext|>",
]


def docx(text: str) -> bytes:
    made = Docx()
    made.add_paragraph("".join(char for char in text if char.isprintable()))
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def pdf(text: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 720, text[:80])
    canvas.save()
    return out.getvalue()


def epub(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>'
        )
        archive.writestr(
            "c.opf",
            '<package><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>',
        )
        archive.writestr("a.html", f"<html><body><p>{text}</p></body></html>")
    return out.getvalue()


def html(text: str) -> bytes:
    return f"<html><body><p>{text}</p><script>x</script></body></html>".encode("utf-8", "surrogatepass")


def subtitles(text: str) -> bytes:
    return f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n".encode()


def plain(text: str) -> bytes:
    return text.encode(random.Random(text).choice(["utf-8", "utf-16", "latin-1", "utf-8-sig"]), "replace")


# Formats that take long to parse come less often.
KINDS = [(plain, 53), (html, 25), (subtitles, 10), (docx, 4), (pdf, 3), (epub, 5)]


def broken(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled or put in; sometimes none."""
    bent = bytearray(data)
    for _ in range(rng.choice([0, 1, 3, 20])):
        at = rng.randrange(len(bent) + 1)
        how = rng.randrange(4)
        if how == 0 and at < len(bent):
            bent[at] = rng.randrange(256)
        elif how == 1:
            del bent[at : at + rng.randrange(1, 40)]
        elif how == 2:
            bent[at:at] = bent[at : at + rng.randrange(1, 40)]
        else:
            bent[at:at] = rng.randbytes(rng.randrange(1, 8))
    return bytes(bent)


def document(rng: random.Random) -> bytes:
    (make,) = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
    return broken(make(" ".join(rng.choices(WORDS, k=rng.randrange(1, 60)))), rng)


def loaded(data: bytes) -> Document | str:
    try:
        return coa.load(data)
    except InputError as error:
        assert error.hint and error.message
        return error.code


async def fenced(document: Document) -> None:
    """The prompt over this document closes its fence where it should and nowhere else."""
    fence = fence_for([document])
    assert fence.token not in document.text and f"[{fence.tag}" not in document.text
    task = Task(kind="qa", query="Who?")
    session = await prepare(task, [document], Settings(model="offline", journal=False))
    passage = Passage(text=document.text, span=document.span(0, len(document.text)), part=1, parts=1)
    request = Worker().request(passage, Notes(), session.ctx, max_tokens=100)
    user = request.messages[-1].content
    assert user.count(fence.close) == user.count(fence.open) == 1
    inside = user.partition(fence.open)[2].partition(fence.close)[0]
    assert inside == f"\n{document.text}\n"
    assert "".join(document.read(chunk.span) for chunk in session.chunks) == document.text
    await session.close()


async def fuzz(count: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        found = loaded(document(rng))
        if isinstance(found, Document):
            assert found.text.strip()
            found.text.encode("utf-8")
            await fenced(found)
        outcomes["loaded" if isinstance(found, Document) else found] += 1
    return outcomes


async def test_broken_documents_load_or_are_refused():
    outcomes = await fuzz(120, seed=1)
    assert outcomes["loaded"] > 40 and len(outcomes) > 1


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_broken_documents_load_or_are_refused():
    outcomes = await fuzz(10_000, seed=2)
    assert outcomes.total() == 10_000 and outcomes["loaded"] > 3_000
    print(outcomes)


def test_nothing_at_all_is_an_empty_document():
    with pytest.raises(EmptyDocument):
        coa.load(b"")
