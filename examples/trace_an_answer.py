"""Which sentences does an answer rest on? Without a model: by wording only, and said so."""

from pathlib import Path

import coa

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"
QUESTION = "Who keeps the light on Gull Stack?"

answer = coa.ask(BOOK, QUESTION, model="offline")
trace = coa.trace(BOOK, QUESTION, answer.text, model="offline")
for claim in trace.claims:
    print(trace.answer[claim.start : claim.end])
    for cause in claim.found.causes:
        segment = trace.segments[cause.segment]
        print(f"  {cause.phi:.0%} of the wording at {segment.span.start}-{segment.span.end}: {segment.text[:70]}")
