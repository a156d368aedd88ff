"""A program that fills a store, document by document, until it is killed: what it printed is committed."""

_PROGRAM = """
import sys
import numpy as np
from coa.documents import Document
from coa.retrieval.entries import record
from {module} import {name}
from coa.testing.stores import EMBEDDING, vector

store = {name}(sys.argv[1], create=True)
store.claim(EMBEDDING)
for number in range(10_000):
    text = f"Entry {{number}} tells of the weather. " * 40
    store.put([record(Document(id=str(number), path=str(number), text=text, sha256=str(number)))])
    units = store.lacking(2)
    store.set_vectors([unit.id for unit in units], np.stack([vector(unit.text) for unit in units]))
    print(number, flush=True)
"""


def writer(store: type) -> str:
    """The program for a kind of store; its first argument is the folder."""
    return _PROGRAM.format(module=store.__module__, name=store.__name__)
