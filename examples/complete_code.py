"""The next line of a source file. With a model: written from the signatures that its workers found; offline: copied."""

from pathlib import Path

import coa

REPO = Path(__file__).parent / "repository"

answer = coa.complete(REPO, file="harbour/master.py", line=27, model="offline")
print(answer.text)
print("\nWhat was read:", ", ".join(source.id for source in answer.documents))
for citation in answer.citations[:3]:
    print(f"  {citation.span.doc}:{citation.line}: {citation.quote}")
