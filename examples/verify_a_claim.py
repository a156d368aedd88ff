"""Does the book say so? With a model: a verdict; offline: the sentences that bear on the claim, and no verdict."""

from pathlib import Path

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"

for found in coa.verify(BOOK, ["Martha Quill keeps the light on Gull Stack."], model="offline", topology="auto"):
    print(found.verdict, "|", found.claim)
    for citation in found.answer.citations:
        print(f"  line {citation.line}: {' '.join(citation.quote.split())}")
