"""Records out of a text, and what code makes of them. Offline takes only what stands as ``field: value``."""

from pathlib import Path

from pydantic import BaseModel, Field

import coa

LEDGER = Path(__file__).parent / "documents" / "harbour_dues.txt"


class Call(BaseModel):
    """One stay of a ship at the quay."""

    ship: str
    cargo: str
    nights: int
    dues: float = Field(description="In crowns.")


for query in (
    coa.Query(group_by=("ship",), sum="dues", count=True, top=2, by="sum"),
    coa.Query(max="nights"),
    coa.Query(count=True),
):
    found = coa.aggregate(LEDGER, Call, what="stays at the quay", query=query, model="offline")
    print(found.answer.text)
    print(f"({found.answer.usage.calls} calls)\n")
for citation in found.answer.citations[:2]:
    print(f"[{citation.marker}] line {citation.line}: {' '.join(citation.quote.split())}")
