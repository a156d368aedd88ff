import pytest
from hypothesis import given
from hypothesis import strategies as st

from coa.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left. She stayed!", ["He left.", "She stayed!"]),
        (
            "Mr. Hale met Dr. O. Finch at 3.15 p.m. today. Good.",
            ["Mr. Hale met Dr. O. Finch at 3.15 p.m. today.", "Good."],
        ),
        ("“Go.” She went. (Late.) End", ["“Go.”", "She went.", "(Late.)", "End"]),
        ("Wait ... he said. No.", ["Wait ... he said.", "No."]),
        ("A line\nthat is wrapped. Next.", ["A line\nthat is wrapped.", "Next."]),
        ("CHAPTER I\n\nIt began.", ["CHAPTER I", "It began."]),
        ("- one\n- two\n3. three", ["- one", "- two", "3. three"]),
        ("Ada: Who?\nBo: Me, e.g. now.", ["Ada: Who?", "Bo: Me, e.g. now."]),
        ("他走了。她留下！“好。”完", ["他走了。", "她留下！", "“好。”", "完"]),
        ("It was I. We ran.", ["It was I.", "We ran."]),
        ("", []),
        ("  \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]):
    assert sentences(text) == expected


@given(st.text(alphabet=st.sampled_from(list('aB .!?。\n"”:-1é字'))))
def test_spans_are_ordered_and_leave_only_blanks_out(text: str):
    position = 0
    for start, end in sentence_spans(text):
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        position = end
    assert not text[position:].strip()


@pytest.mark.slow
def test_a_million_repeated_characters_take_no_time_to_speak_of():
    for text in ("a" * 1_000_000, ". " * 500_000, "\n" * 1_000_000, "A." * 500_000):
        assert "".join(sentences(text)).replace("\n", "") == text.replace(" ", "").replace("\n", "")
