"""Index a folder and find passages in it: words only, no model, exact places."""

from pathlib import Path
from tempfile import TemporaryDirectory

import coa

DOCUMENTS = Path(__file__).parent / "documents"

with TemporaryDirectory() as folder:
    index = coa.index(DOCUMENTS, folder)
    print(f"{len(index.sources)} documents")
    for hit in index.find("Who keeps the light on Gull Stack?", 3):
        print(f"{Path(hit.path).name} {hit.span.start}-{hit.span.end} ({hit.score:.1f}): {' '.join(hit.text.split())}")
    index.close()
