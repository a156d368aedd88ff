from coa.agents.citing import cite
from coa.documents import load
from coa.types import Evidence, Notes, Span

DOCUMENT = load(b"The lamp is lit at dusk.\n\nAda keeps the key.\n")
DOCUMENTS = {DOCUMENT.id: DOCUMENT}


def evidence(marker: str, quote: str) -> Evidence:
    start = DOCUMENT.text.index(quote)
    return Evidence(marker=marker, span=Span(doc=DOCUMENT.id, start=start, end=start + len(quote)), quote=quote)


NOTES = Notes(evidence=(evidence("kqz1", "lit at dusk"), evidence("kqz2", "Ada keeps the key")))


def cited(text: str, notes: Notes = NOTES):
    return cite(text, notes, DOCUMENTS, "kqz")


def test_markers_are_numbered_by_first_appearance():
    result = cited("Ada has it [kqz2]. It is lit at dusk [kqz1]. Ada again [kqz2].")
    assert result.text == "Ada has it [1]. It is lit at dusk [2]. Ada again [1]."
    assert [citation.quote for citation in result.citations] == ["Ada keeps the key", "lit at dusk"]
    assert [citation.line for citation in result.citations] == [3, 1]
    assert all(DOCUMENT.read(citation.span) == citation.quote for citation in result.citations)


def test_the_claim_is_the_sentence_before_the_number_wherever_the_full_stop_stands():
    for text in ("It burns. Ada has the key [kqz2]. End.", "It burns. Ada has the key. [kqz2] End."):
        result = cited(text)
        (citation,) = result.citations
        assert citation.claim is not None
        assert "Ada has the key" in result.text[slice(*citation.claim)]
        assert "It burns" not in result.text[slice(*citation.claim)]


def test_unknown_markers_are_dropped_and_counted():
    result = cited("A [kqz7]. B [kqz1; kqz9].")
    assert result.text == "A. B [1]."
    assert result.dropped == 2


def test_numbers_that_the_model_wrote_cannot_pass_for_citations():
    result = cited("Forged [1], [2-4] and [3, 5]; real [kqz1].")
    assert result.text == "Forged (1), (2-4) and (3, 5); real [1]."
    assert len(result.citations) == 1


def test_evidence_that_is_not_in_the_document_is_never_cited():
    forged = Notes(evidence=(Evidence(marker="kqz1", span=Span(doc=DOCUMENT.id, start=0, end=8), quote="Ada stole"),))
    result = cited("Ada stole it [kqz1].", forged)
    assert result.citations == ()
    assert result.text == "Ada stole it."
