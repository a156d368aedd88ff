"""Write from a source without a model: a digest of its sentences, each cited, in Markdown."""

from pathlib import Path

import coa
from coa.writing.export import markdown_of

LOG = Path(__file__).parent / "documents" / "lighthouse_log.txt"

answer = coa.write("The year on Skerry Orn", words=600, source=LOG, model="offline")
print(markdown_of(answer)[:1500])
