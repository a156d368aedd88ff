"""A conversation and a second document: who said it, and where it stands."""

from pathlib import Path

import coa

FOLDER = Path(__file__).parent / "documents"

answer = coa.ask(
    [FOLDER / "board_meeting.json", FOLDER / "harbour_dues.txt"], "What does the brass lamp cost?", model="offline"
)
print(answer.text)
for citation in answer.citations:
    print(f"[{citation.marker}] {citation.span.doc}, line {citation.line}: {citation.quote}")
