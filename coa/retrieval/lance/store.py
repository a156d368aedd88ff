"""`LanceStore`: an index in a folder of columns, on disk or wherever LanceDB can write.

One table holds everything: a document's row and the pieces of its text have negative ids, its units their numbers, what
the store says of itself the id 0. A document enters in one commit, all of its rows or none, in place of what its path
held.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coa.documents import Document, SourceMap
from coa.errors import UnusableIndex
from coa.retrieval.base import Embedding, Record, Unit, Value
from coa.retrieval.filters import Condition
from coa.retrieval.lance.conditions import column, expression, quoted
from coa.retrieval.lance.table import VECTOR, Table
from coa.retrieval.numbers import UNITS_A_DOCUMENT, free_id, free_number, numbered, storable
from coa.retrieval.refusals import check_vectors, refuse_other, wrong_size
from coa.retrieval.windows import NEAR, OWN, windows
from coa.types import Source, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANN_FROM = 100_000
VERSION = 1
_META = 0
_PIECE = 1 << 15
_ASKED = 1_000
_UNIT = ["id", "doc", "path", "page", "kind", "said", "text"]


class LanceStore:
    """A `coa.retrieval.base.Store` in a folder of LanceDB's (extra ``lancedb``).

    Args:
        address: ``lancedb://FOLDER``.
        create: Make it where there is none.
        ann_from: Vectors from which compacting builds an approximate index.

    Raises:
        MissingExtra: lancedb is not installed.
        UnusableIndex: the folder is no index, is damaged, or was written by another version.
        StorageFailed: it cannot be read or written.
    """

    def __init__(self, address: str, *, create: bool = False, ann_from: int = ANN_FROM) -> None:
        self._table = Table(address, create=create)
        self._ann_from = ann_from
        known = self._said().get("version")
        if known is None:
            self._say(version=VERSION)
        elif known != VERSION:
            raise UnusableIndex(
                f"the index has version {known}, and this program reads version {VERSION}",
                hint="Use the program that made it, or index the documents again elsewhere.",
            )

    def close(self) -> None:
        """Release the files."""
        self._table.close()

    @property
    def embedding(self) -> Embedding | None:
        """Whose vectors it holds."""
        said = self._said().get("embedding")
        return Embedding(**said) if said else None

    def claim(self, embedding: Embedding) -> None:
        """Take an embedding for the store's own."""
        known = self.embedding
        refuse_other(known, embedding)
        if known == embedding:
            return
        if known is None and VECTOR in self._table.columns:
            # A writer that was killed before it said whose vectors these would be.
            self._table.drop_column(VECTOR)
        self._table.add_column(VECTOR, "vector", embedding.dimensions)
        said = {"name": embedding.name, "fingerprint": embedding.fingerprint, "dimensions": embedding.dimensions}
        self._say(version=VERSION, embedding=said)

    def sources(self) -> list[Source]:
        """The documents."""
        rows = self._table.rows("row = 'document'", ["said"])
        return sorted((Source(**json.loads(row["said"])["source"]) for row in rows), key=lambda source: source.id)

    def text(self, doc: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or a stretch of it."""
        row = self._document("doc", doc)
        if row is None:
            return ""
        stop = row["source"]["chars"] if end is None else end
        first, last = start // _PIECE, max(start, stop - 1) // _PIECE
        ids = [_piece(row["number"], at) for at in range(first, last + 1)]
        found = sorted(self._by_id(ids, ["id", "text"]), key=lambda piece: -piece["id"])
        whole = "".join(_open(piece["text"]) for piece in found)
        return whole[start - first * _PIECE : stop - first * _PIECE]

    def document(self, doc: str) -> Document | None:
        """A document as it was put in, with its pages."""
        row = self._document("doc", doc)
        if row is None:
            return None
        said, places = row["source"], SourceMap(pages=tuple(row["pages"]))
        return Document(id=doc, path=said["path"], text=self.text(doc), sha256=said["sha256"], source_map=places)

    def put(self, records: Sequence[Record]) -> list[str]:
        """Insert documents in one commit, each in place of what its path held."""
        numbers: list[int] = []
        ids: list[str] = []
        rows: list[dict[str, Any]] = []
        for record in records:
            number, doc = self._place(record.document, numbers, ids)
            numbers.append(number)
            ids.append(doc)
            rows += self._rows(number, doc, record)
        if rows:
            self._add_columns(records)
            self._table.replace(rows, instead_of=f"number in ({', '.join(map(str, numbers))})")
            self._table.index_words()
        return ids

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        row = self._document("path", path)
        if row is not None:
            self._table.delete(f"number = {row['number']}")
        return row is not None

    def units(self, numbers: Sequence[int]) -> list[Unit]:
        """Units by their numbers, in that order."""
        found = {row["id"]: row for row in self._by_id([n for n in numbers if n > _META], _UNIT)}
        return [_unit(found[number]) for number in numbers if number in found]

    def find(self, where: Condition, most: int) -> list[int]:
        """The numbers of the first units that meet a condition."""
        found = self._table.rows(self._units_where(where), ["id"])
        return sorted(row["id"] for row in found)[:most]

    def waiting(self) -> int:
        """How many units have no vector yet."""
        return self._table.count("row = 'unit' and not embedded")

    def lacking(self, most: int) -> list[Unit]:
        """Units that have no vector yet."""
        rows = self._table.rows("row = 'unit' and not embedded", _UNIT, most)
        return [_unit(row) for row in sorted(rows, key=lambda row: row["id"])]

    def set_vectors(self, numbers: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Give units their vectors; those that are gone meanwhile are passed over."""
        check_vectors(self.embedding, len(numbers), vectors)
        given = zip(numbers, vectors, strict=True)
        self._table.replace([{"id": number, "embedded": True, VECTOR: vector} for number, vector in given])
        self._table.index_words()

    def vectors(self, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of those units that have one."""
        import numpy as np

        if self.embedding is None:
            return {}
        found = self._by_id(numbers, ["id", VECTOR])
        return {row["id"]: np.asarray(row[VECTOR], dtype=np.float32) for row in found if row[VECTOR] is not None}

    def search_lexical(
        self, terms: Sequence[str], k: int, *, where: Condition | None = None, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """BM25 over windows of three units, a unit's own words thrice."""
        wanted = [term for term in dict.fromkeys(terms) if not term.isspace() and term]
        if not wanted or (among is not None and not among):
            return {}
        found: dict[int, float] = {}
        for clause, most in self._clauses(k, where, among):
            found |= self._table.words(wanted, most, clause)
        return found

    def search_dense(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        where: Condition | None = None,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        """Cosine of the nearest units."""
        embedding = self.embedding
        if embedding is None:
            return {}
        if vector.shape != (embedding.dimensions,):
            raise wrong_size(vector.shape, embedding)
        found: dict[int, float] = {}
        for clause, most in self._clauses(k, where, among):
            found |= self._table.nearest(vector, most, clause, exact=among is not None)
        return found

    @property
    def stale(self) -> bool:
        """Whether many vectors are compared one by one that an index could look up."""
        return self._lacks_an_index(self._ann_from)

    def compact(self) -> None:
        """Join small files, give back what deleted rows held, and index the vectors of a large store."""
        if self._lacks_an_index(1):
            self._table.index_vectors()
        self._table.compact()

    def _lacks_an_index(self, most: int) -> bool:
        if self.embedding is None:
            return False
        indexed, count = self._table.unindexed_vectors(), self._table.count("embedded")
        return count >= self._ann_from and (indexed is None or indexed >= most)

    def _said(self) -> Mapping[str, Any]:
        found = self._table.rows(f"id = {_META}", ["said"])
        return json.loads(found[0]["said"]) if found else {}

    def _say(self, **said: Any) -> None:
        self._table.replace([{"id": _META, "row": "meta", "said": json.dumps(said)}], instead_of=f"id = {_META}")

    def _document(self, field: str, value: str) -> Mapping[str, Any] | None:
        found = self._table.rows(f"row = 'document' and {field} = {quoted(value)}", ["number", "said"])
        return json.loads(found[0]["said"]) | {"number": found[0]["number"]} if found else None

    def _by_id(self, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        return [row for batch in _batches(numbers) for row in self._table.rows(f"id in ({batch})", columns)]

    def _units_where(self, where: Condition) -> str:
        return f"row = 'unit' and {expression(where, self._table.columns)}"

    def _clauses(self, k: int, where: Condition | None, among: Collection[int] | None) -> list[tuple[str | None, int]]:
        """What to search, and for how many: the condition, with the numbers some at a time."""
        clause = None if where is None else self._units_where(where)
        if among is None:
            return [(clause, k)]
        both = [f"id in ({batch})" for batch in _batches(sorted(among))]
        return [(one if clause is None else f"{clause} and {one}", _ASKED) for one in both]

    def _place(self, document: Document, numbers: Sequence[int], ids: Sequence[str]) -> tuple[int, str]:
        """The number and id of a document: those its path has, or free ones."""
        old = self._document("path", document.path)
        if old is not None:
            return old["number"], old["source"]["id"]
        number = free_number(document.path, lambda n: n in numbers or self._table.count(f"id = {_row_of(n)}") > 0)
        doc = free_id(storable(document.id), lambda name: name in ids or self._document("doc", name) is not None)
        return number, doc

    def _rows(self, number: int, doc: str, record: Record) -> list[dict[str, Any]]:
        document, path = record.document, storable(record.document.path)
        source = {"id": doc, "path": path, "sha256": document.sha256, "chars": len(document.text)}
        said = {"source": source, "pages": list(document.source_map.pages)}
        rows = [_row(_row_of(number), number, "document", doc=doc, path=path, said=json.dumps(said))]
        for at in range(0, len(document.text), _PIECE):
            piece = _close(document.text[at : at + _PIECE])
            rows.append(_row(_piece(number, at // _PIECE), number, "piece", text=piece))
        kept = self._vectors_by_text(number)
        units = numbered(number, doc, record)
        for unit, (own, near) in zip(units, windows(units), strict=True):
            vectors = kept.get(unit.text)
            vector = vectors.pop() if vectors else None
            rows.append(_unit_row(number, path, unit, " ".join(own * OWN + near * NEAR), vector))
        if self.embedding is None:
            for row in rows:
                row.pop(VECTOR, None)
        return rows

    def _vectors_by_text(self, number: int) -> dict[str, list[Any]]:
        found: defaultdict[str, list[Any]] = defaultdict(list)
        if self.embedding is not None:
            for row in self._table.rows(f"number = {number} and embedded", ["text", VECTOR]):
                found[_open(row["text"])].append(row[VECTOR])
        return found

    def _add_columns(self, records: Sequence[Record]) -> None:
        fields = {column(n, v): v for record in records for entry in record.entries for n, v in entry.fields.items()}
        for name, value in fields.items():
            self._table.add_column(name, "text" if isinstance(value, str) else "number")


def _row_of(number: int) -> int:
    return -number * UNITS_A_DOCUMENT


def _piece(number: int, at: int) -> int:
    return -number * UNITS_A_DOCUMENT - 1 - at


def _row(number: int, document: int, row: str, **values: Any) -> dict[str, Any]:
    return {"id": number, "number": document, "row": row, "embedded": False, **values}


def _unit_row(number: int, path: str, unit: Unit, words: str, vector: Any) -> dict[str, Any]:
    fields: dict[str, Value] = {
        column(name, value): value if isinstance(value, str) else float(value) for name, value in unit.fields.items()
    }
    said = {"start": unit.span.start, "end": unit.span.end, "section": unit.section, "fields": dict(unit.fields)}
    return {
        **_row(unit.id, number, "unit", doc=unit.span.doc, path=path, page=unit.page, kind=unit.kind),
        "section": [storable(title) for title in unit.section],
        "said": json.dumps(said),
        "text": _close(unit.text),
        "words": words,
        "embedded": vector is not None,
        VECTOR: vector,
        **{name: storable(value) if isinstance(value, str) else value for name, value in fields.items()},
    }


def _unit(row: Mapping[str, Any]) -> Unit:
    said = json.loads(row["said"])
    return Unit(
        id=row["id"],
        span=Span(doc=row["doc"], start=said["start"], end=said["end"]),
        text=_open(row["text"]),
        path=row["path"],
        page=row["page"],
        section=tuple(said["section"]),
        kind=row["kind"],
        fields=said["fields"],
    )


def _close(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _open(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def _batches(numbers: Sequence[int]) -> list[str]:
    """Numbers as SQL lists them, some at a time."""
    return [", ".join(map(str, numbers[at : at + _ASKED])) for at in range(0, len(numbers), _ASKED)]
