from hypothesis import given
from hypothesis import strategies as st

from coa.agents.quotes import bind, find_quote
from coa.types import Evidence, Notes, Passage, Span

TEXT = (
    "The keeper rowed out before sunrise.\nHe took the brass key with him, wrapped in\noilcloth. "
    "“Not a word,” said Ada."
)
PASSAGE = Passage(text=TEXT, span=Span(doc="log", start=1000, end=1000 + len(TEXT)), part=2, parts=3)


def bound(reply: str, notes: Notes | None = None):
    return bind(reply, passage=PASSAGE, notes=notes or Notes(), tag="kqz")


def test_a_verbatim_quote_becomes_a_marker_with_its_span():
    result = bound("He left early [[rowed out before sunrise]].")
    assert result.notes.text == "He left early [kqz1]."
    (evidence,) = result.notes.evidence
    assert evidence.quote == "rowed out before sunrise"
    assert TEXT[evidence.span.start - 1000 : evidence.span.end - 1000] == evidence.quote
    assert result.dropped == 0


def test_a_quote_over_a_line_break_and_with_other_quotation_marks_is_found_and_shown_as_it_stands():
    result = bound('Hidden [[wrapped in oilcloth]]; silent [["Not a word," said Ada]].')
    assert [evidence.quote for evidence in result.notes.evidence] == ["wrapped in\noilcloth", "“Not a word,” said Ada"]


def test_an_invented_quote_is_dropped_and_counted():
    result = bound("He drowned [[he drowned at noon]] alone.")
    assert result.notes.text == "He drowned  alone."
    assert result.notes.evidence == ()
    assert result.dropped == 1


def test_earlier_markers_stay_with_their_evidence_and_unused_ones_go():
    old = Notes(
        text="A [kqz1]. B [kqz2].",
        evidence=tuple(Evidence(marker=f"kqz{n}", span=Span(doc="log", start=n, end=n + 1), quote="x") for n in (1, 2)),
        issued=2,
    )
    result = bound("B still holds [kqz2, kqz9]. New: [[the brass key]].", old)
    assert result.notes.text == "B still holds [kqz2]. New: [kqz3]."
    assert [evidence.marker for evidence in result.notes.evidence] == ["kqz2", "kqz3"]
    assert result.notes.issued == 3
    assert result.dropped == 1


def test_a_marker_that_the_model_guesses_ahead_does_not_take_a_new_quote():
    result = bound("Guess [kqz1]. Real [[the brass key]].")
    assert result.notes.text == "Guess. Real [kqz1]."
    assert result.dropped == 1


def test_unclosed_brackets_leave_no_trace():
    assert bound("One [[the brass key").notes.text == "One the brass key"


@given(st.text(min_size=4), st.integers(0, 50), st.integers(4, 60))
def test_every_long_enough_piece_of_a_text_is_found_in_it(text: str, start: int, length: int):
    quote = text[start : start + length]
    found = find_quote(text, quote)
    if len(quote.strip()) >= 4:
        assert found is not None
        assert text[found[0] : found[1]].split() == quote.split()


@given(st.text())
def test_any_reply_gives_notes_whose_every_quote_is_verbatim(reply: str):
    result = bound(reply + " [[the brass key]] [[" + reply + "]]")
    for evidence in result.notes.evidence:
        assert TEXT[evidence.span.start - 1000 : evidence.span.end - 1000] == evidence.quote
