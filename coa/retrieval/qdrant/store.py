"""`QdrantStore`: units on a server that many processes share.

Three collections: ``NAME-documents`` (documents, their texts in pieces, the embedding), ``NAME-units`` (payload and a
sparse vector of words) and ``NAME-vectors``. Qdrant has no transactions: a document's own row is written last and
deleted first, so that one that a killed writer left behind is not listed, and the same command puts it right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coa.documents import Document, SourceMap
from coa.retrieval.base import Embedding, Record, Unit
from coa.retrieval.filters import Condition
from coa.retrieval.numbers import UNITS_A_DOCUMENT, free_id, free_number, numbered
from coa.retrieval.qdrant.client import Client
from coa.retrieval.qdrant.conditions import key, rendered
from coa.retrieval.refusals import check_vectors, refuse_other, wrong_size
from coa.retrieval.sparse import Sparse, query
from coa.retrieval.sparse import vectors as sparse_vectors
from coa.types import Source, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PIECE = 1 << 15
_BATCH = 256
_META = 0
_INDEXED = {"doc": "keyword", "path": "keyword", "page": "integer", "section": "keyword", "kind": "keyword"}


class QdrantStore:
    """A `coa.retrieval.base.Store` on a Qdrant server, or in a folder (local mode, one process at a time).

    Args:
        address: See `coa.retrieval.qdrant.client.Client`.

    Raises:
        MissingExtra: qdrant-client is not installed.
        StorageFailed: the server cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self._client = Client(address)
        self._models = self._client.models
        base = self._client.name
        self._documents, self._units, self._vectors = f"{base}-documents", f"{base}-units", f"{base}-vectors"
        try:
            self._prepare()
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        """Release the connection."""
        self._client.close()

    @property
    def embedding(self) -> Embedding | None:
        """Whose vectors it holds."""
        found = self._client.call("retrieve", collection_name=self._documents, ids=[_META])
        return Embedding(**found[0].payload["embedding"]) if found else None

    def claim(self, embedding: Embedding) -> None:
        """Take an embedding for the store's own."""
        refuse_other(self.embedding, embedding)
        if not self._client.call("collection_exists", collection_name=self._vectors):
            size = self._models.VectorParams(size=embedding.dimensions, distance=self._models.Distance.DOT)
            self._client.call("create_collection", collection_name=self._vectors, vectors_config=size)
            self._index_fields(self._vectors, {})
        said = {"name": embedding.name, "fingerprint": embedding.fingerprint, "dimensions": embedding.dimensions}
        self._upsert(self._documents, [(_META, {}, {"embedding": said})])

    def sources(self) -> list[Source]:
        """The documents."""
        rows = self._scroll(self._documents, self._where("row", True))
        found = [Source(**row.payload["source"]) for row in rows]
        return sorted(found, key=lambda source: source.id)

    def text(self, doc: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or a stretch of it."""
        row = self._row("source.id", doc)
        if row is None:
            return ""
        number, stop = row["number"], row["source"]["chars"] if end is None else end
        first, last = start // _PIECE, max(start, stop - 1) // _PIECE
        ids = [number * UNITS_A_DOCUMENT + 1 + at for at in range(first, last + 1)]
        found = self._client.call("retrieve", collection_name=self._documents, ids=ids, with_payload=True)
        whole = "".join(_open(one.payload["text"]) for one in sorted(found, key=lambda one: one.id))
        return whole[start - first * _PIECE : stop - first * _PIECE]

    def document(self, doc: str) -> Document | None:
        """A document as it was put in, with its pages."""
        row = self._row("source.id", doc)
        if row is None:
            return None
        said = row["source"]
        places = SourceMap(pages=tuple(row["pages"]))
        return Document(id=doc, path=said["path"], text=self.text(doc), sha256=said["sha256"], source_map=places)

    def put(self, records: Sequence[Record]) -> list[str]:
        """Insert documents, one after the other, each in place of what its path held."""
        return [self._put(record) for record in records]

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        row = self._row("source.path", path)
        if row is not None:
            self._delete(row["number"])
        return row is not None

    def units(self, numbers: Sequence[int]) -> list[Unit]:
        """Units by their numbers, in that order."""
        found = {point.id: point.payload for point in self._retrieve(self._units, numbers)}
        return [_unit(number, found[number]) for number in numbers if number in found]

    def find(self, where: Condition, most: int) -> list[int]:
        """The numbers of the first units that meet a condition."""
        rows = self._scroll(self._units, rendered(where, self._models), most, payload=False)
        return [row.id for row in rows]

    def waiting(self) -> int:
        """How many units have no vector yet."""
        bare = self._where("embedded", False)
        return int(self._client.call("count", collection_name=self._units, count_filter=bare, exact=True).count)

    def lacking(self, most: int) -> list[Unit]:
        """Units that have no vector yet."""
        rows = self._scroll(self._units, self._where("embedded", False), most)
        return [_unit(row.id, row.payload) for row in rows]

    def set_vectors(self, numbers: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Give units their vectors; those that are gone meanwhile are passed over."""
        check_vectors(self.embedding, len(numbers), vectors)
        payloads = {point.id: point.payload for point in self._retrieve(self._units, numbers)}
        rows = [
            (number, vector.tolist(), {k: v for k, v in payloads[number].items() if k not in ("text", "embedded")})
            for number, vector in zip(numbers, vectors, strict=True)
            if number in payloads
        ]
        self._upsert(self._vectors, rows)
        for batch in _batches([row[0] for row in rows]):
            self._client.call(
                "set_payload", collection_name=self._units, payload={"embedded": True}, points=list(batch)
            )

    def vectors(self, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of those units that have one."""
        import numpy as np

        if self.embedding is None:
            return {}
        found = self._retrieve(self._vectors, numbers, with_vectors=True)
        return {point.id: np.asarray(point.vector, dtype=np.float32) for point in found}

    def search_lexical(
        self, terms: Sequence[str], k: int, *, where: Condition | None = None, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """BM25 with a fixed average length; the server keeps the inverse frequencies."""
        words = query(terms)
        if not words:
            return {}
        return self._search(self._units, self._sparse(words), k, where, among, using="words")

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
        return self._search(self._vectors, vector.tolist(), k, where, among)

    @property
    def stale(self) -> bool:
        """Never: the server looks after its own indexes."""
        return False

    def compact(self) -> None:
        """Nothing to do: the server does it."""

    def _prepare(self) -> None:
        models = self._models
        if not self._client.call("collection_exists", collection_name=self._documents):
            self._client.call("create_collection", collection_name=self._documents, vectors_config={})
            self._index_fields(
                self._documents, {"row": "bool", "source.id": "keyword", "source.path": "keyword"}, own={}
            )
        if not self._client.call("collection_exists", collection_name=self._units):
            words = {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
            self._client.call(
                "create_collection", collection_name=self._units, vectors_config={}, sparse_vectors_config=words
            )
            self._index_fields(self._units, {"embedded": "bool"})

    def _index_fields(self, collection: str, fields: Mapping[str, str], own: Mapping[str, str] = _INDEXED) -> None:
        """Ask the server to index what is filtered by; the local mode has no indexes."""
        if not self._client.local:
            for field, schema in {"number": "integer", **own, **fields}.items():
                self._client.call(
                    "create_payload_index", collection_name=collection, field_name=field, field_schema=schema
                )

    def _put(self, record: Record) -> str:
        document = record.document
        old = self._row("source.path", document.path)
        number = old["number"] if old else free_number(document.path, self._number_taken)
        doc = (
            str(old["source"]["id"])
            if old
            else free_id(document.id, lambda name: self._row("source.id", name) is not None)
        )
        kept = self._vectors_by_text(number)
        self._delete(number)
        pieces = [document.text[at : at + _PIECE] for at in range(0, len(document.text), _PIECE)]
        first = number * UNITS_A_DOCUMENT
        self._upsert(
            self._documents,
            [(first + 1 + at, {}, {"number": number, "text": _close(piece)}) for at, piece in enumerate(pieces)],
        )
        self._put_units(record, number, doc, kept)
        pages = list(document.source_map.pages)
        said = {"id": doc, "path": document.path, "sha256": document.sha256, "chars": len(document.text)}
        self._upsert(self._documents, [(first, {}, {"number": number, "row": True, "source": said, "pages": pages})])
        return doc

    def _put_units(self, record: Record, number: int, doc: str, kept: dict[str, list[NDArray[np.float32]]]) -> None:
        units = numbered(number, doc, record)
        rows: list[tuple[int, Any, dict[str, Any]]] = []
        dense: list[tuple[int, Any, dict[str, Any]]] = []
        fields = {key(name): _schema(value) for unit in units for name, value in unit.fields.items()}
        for unit, words in zip(units, sparse_vectors(units), strict=True):
            payload = _payload(number, unit)
            vectors = kept.get(unit.text)
            rows.append(
                (
                    unit.id,
                    {"words": self._sparse(words)},
                    payload | {"text": _close(unit.text), "embedded": bool(vectors)},
                )
            )
            if vectors:
                dense.append((unit.id, vectors.pop().tolist(), payload))
        for collection, points in ((self._units, rows), (self._vectors, dense)):
            if points:
                self._index_fields(collection, fields, own={})
                self._upsert(collection, points)

    def _vectors_by_text(self, number: int) -> dict[str, list[NDArray[np.float32]]]:
        units = self._scroll(self._units, self._where("number", number))
        vectors = self.vectors([unit.id for unit in units])
        found: defaultdict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for unit in units:
            if unit.id in vectors:
                found[_open(unit.payload["text"])].append(vectors[unit.id])
        return found

    def _delete(self, number: int) -> None:
        row = [number * UNITS_A_DOCUMENT]
        self._client.call("delete", collection_name=self._documents, points_selector=row)
        there = [self._documents, self._units, *([self._vectors] if self.embedding else [])]
        for collection in there:
            chosen = self._models.FilterSelector(filter=self._where("number", number))
            self._client.call("delete", collection_name=collection, points_selector=chosen)

    def _number_taken(self, number: int) -> bool:
        found = self._retrieve(self._documents, [number * UNITS_A_DOCUMENT])
        return any("row" in (point.payload or {}) for point in found)

    def _row(self, field: str, value: str) -> Mapping[str, Any] | None:
        found = self._scroll(self._documents, self._where(field, value), 1)
        return found[0].payload if found else None

    def _search(
        self,
        collection: str,
        vector: Any,
        k: int,
        where: Condition | None,
        among: Collection[int] | None,
        using: str | None = None,
    ) -> dict[int, float]:
        must: list[Any] = [] if where is None else [rendered(where, self._models)]
        if among is not None:
            if not among:
                return {}
            must.append(self._models.HasIdCondition(has_id=sorted(among)))
        found = self._client.call(
            "query_points",
            collection_name=collection,
            query=vector,
            using=using,
            query_filter=self._models.Filter(must=must) if must else None,
            limit=k if among is None else len(among),
            with_payload=False,
        )
        return {int(point.id): float(point.score) for point in found.points if using is None or point.score > 0}

    def _sparse(self, words: Sparse) -> Any:
        return self._models.SparseVector(indices=list(words), values=list(words.values()))

    def _where(self, field: str, value: str | int | bool) -> Any:
        match = self._models.MatchValue(value=value)
        return self._models.Filter(must=[self._models.FieldCondition(key=field, match=match)])

    def _retrieve(self, collection: str, numbers: Sequence[int], with_vectors: bool = False) -> list[Any]:
        return [
            point
            for batch in _batches(numbers)
            for point in self._client.call(
                "retrieve", collection_name=collection, ids=list(batch), with_vectors=with_vectors
            )
        ]

    def _scroll(self, collection: str, where: Any, most: int | None = None, *, payload: bool = True) -> list[Any]:
        found: list[Any] = []
        offset: Any = None
        while most is None or len(found) < most:
            points, offset = self._client.call(
                "scroll",
                collection_name=collection,
                scroll_filter=where,
                limit=_BATCH if most is None else min(_BATCH, most - len(found)),
                offset=offset,
                with_payload=payload,
            )
            found += points
            if offset is None:
                break
        return found

    def _upsert(self, collection: str, rows: Sequence[tuple[int, Any, dict[str, Any]]]) -> None:
        for batch in _batches(rows):
            points = [self._models.PointStruct(id=number, vector=v, payload=payload) for number, v, payload in batch]
            self._client.call("upsert", collection_name=collection, points=points, wait=True)


def _payload(number: int, unit: Unit) -> dict[str, Any]:
    place = {"number": number, "doc": unit.span.doc, "path": unit.path, "start": unit.span.start, "end": unit.span.end}
    return place | {
        "page": unit.page,
        "section": list(unit.section),
        "kind": unit.kind,
        "fields": dict(unit.fields),
    }


def _unit(number: int, payload: Mapping[str, Any]) -> Unit:
    return Unit(
        id=number,
        span=Span(doc=payload["doc"], start=payload["start"], end=payload["end"]),
        text=_open(payload["text"]),
        path=payload["path"],
        page=payload["page"],
        section=tuple(payload["section"]),
        kind=payload["kind"],
        fields=payload["fields"],
    )


def _schema(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "keyword" if isinstance(value, str) else "integer" if isinstance(value, int) else "float"


def _close(text: str) -> str:
    """A text as JSON can carry it: lone surrogates written out."""
    return text.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode() if _odd(text) else "=" + text


def _open(text: str) -> str:
    if text.startswith("="):
        return text[1:]
    return text.encode("ascii", "backslashreplace").decode("unicode_escape")


def _odd(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), _BATCH):
        yield items[at : at + _BATCH]
