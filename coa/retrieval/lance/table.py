"""The one door to lancedb: where the table is, its schema, and what its errors mean."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from coa.errors import MissingExtra, StorageFailed, UnusableIndex, UsageError

SCHEME = "lancedb"
VECTOR = "vector"
_NAME = "coa"
_ALL = 1 << 31
_UNINDEXED_SHARE, _UNINDEXED_LEAST = 0.1, 2_000


class Table:
    """One table of a folder; each method sees what any process committed last.

    Args:
        address: ``lancedb://FOLDER``.
        create: Make it where there is none.

    Raises:
        MissingExtra: lancedb is not installed.
        UsageError: the address names no folder.
        UnusableIndex: there is no table, or it is damaged.
        StorageFailed: it cannot be read or written.
    """

    def __init__(self, address: str, *, create: bool) -> None:
        if find_spec("lancedb") is None:
            raise MissingExtra("LanceDB needs lancedb", hint="pip install 'chain-of-agents[lancedb]'")
        folder = Path(address.partition(":")[2].removeprefix("//"))
        if folder == Path():
            raise UsageError(f"{address!r} names no folder", hint="Write lancedb://FOLDER.")
        # lancedb's types need the package: it is handled as Any here and nowhere else.
        self._lancedb: Any = import_module("lancedb")
        self._arrow: Any = import_module("pyarrow")
        if not create and not (folder / f"{_NAME}.lance").is_dir():
            raise UnusableIndex(
                f"{str(folder)!r} is not an index", hint=f"Make one: coa index PATH... --index {address}"
            )
        with _mapped():
            self._connection: Any = self._lancedb.connect(folder, read_consistency_interval=timedelta(0))
            there = (folder / f"{_NAME}.lance" / "_versions").is_dir()
            self._table: Any = self._connection.open_table(_NAME) if there or not create else self._make()
            self._index()

    def close(self) -> None:
        """Release the files."""
        self._table = self._connection = None

    @property
    def columns(self) -> list[str]:
        """The columns there are."""
        with _mapped():
            return list(self._table.schema.names)

    def rows(self, where: str, columns: Sequence[str], most: int | None = None) -> list[dict[str, Any]]:
        """Rows that meet an expression, in no order."""
        with _mapped():
            found = self._table.search().where(where).select(list(columns)).limit(_ALL if most is None else most)
            return found.to_list()

    def count(self, where: str) -> int:
        """How many rows meet an expression."""
        with _mapped():
            return int(self._table.count_rows(where))

    def words(self, terms: Sequence[str], k: int, where: str | None) -> dict[int, float]:
        """BM25 of the best ``k`` rows that hold any of the terms, of those that meet an expression."""
        query: Any = import_module("lancedb.query").MatchQuery(" ".join(terms), "words")
        with _mapped():
            if where is not None:
                # The scores of rows that are not indexed yet would be of the filtered rows' statistics.
                self.index_words(whole=True)
            search = self._table.search(query, query_type="fts").limit(k).select(["id", "_score"])
            found = (search if where is None else search.where(where, prefilter=True)).to_list()
        return {int(row["id"]): float(row["_score"]) for row in found}

    def nearest(self, vector: Any, k: int, where: str | None, *, exact: bool) -> dict[int, float]:
        """Inner product of the nearest ``k`` rows that have a vector, of those that meet an expression."""
        with _mapped():
            search = self._table.search(vector, vector_column_name=VECTOR).distance_type("dot").limit(k)
            search = search.select(["id", "_distance"])
            search = search.bypass_vector_index() if exact else search.nprobes(_PROBES).refine_factor(_REFINE)
            found = (search if where is None else search.where(where, prefilter=True)).to_list()
        return {int(row["id"]): 1.0 - float(row["_distance"]) for row in found}

    def replace(self, rows: Sequence[Mapping[str, Any]], instead_of: str | None = None) -> None:
        """Write rows in place of those with their ids, and of all that meet an expression: one commit.

        Args:
            rows: With values for some columns; a column that none of them names is left as it is.
            instead_of: What else goes.
        """
        names = list(dict.fromkeys(name for row in rows for name in row))
        with _mapped():
            known: Any = self._table.schema
            schema = self._arrow.schema([known.field(name) for name in names])
            batch = self._arrow.Table.from_pylist([dict(row) for row in rows], schema=schema)
            merge = self._table.merge_insert("id").when_matched_update_all()
            if instead_of is not None:
                merge = merge.when_not_matched_insert_all().when_not_matched_by_source_delete(instead_of)
            merge.execute(batch, on_bad_vectors="null")

    def delete(self, where: str) -> None:
        """Take rows out."""
        with _mapped():
            self._table.delete(where)

    def add_column(self, name: str, kind: str, dimensions: int = 1) -> None:
        """Add a column of nulls, where there is none of the name: ``number``, ``text`` or ``vector``."""
        arrow = self._arrow
        types = {"number": arrow.float64(), "text": arrow.string(), "vector": arrow.list_(arrow.float32(), dimensions)}
        if name not in self.columns:
            with _mapped():
                self._table.add_columns([arrow.field(name, types[kind])])

    def drop_column(self, name: str) -> None:
        """Take a column away."""
        with _mapped():
            self._table.drop_columns([name])

    def index_words(self, *, whole: bool = False) -> None:
        """Bring new rows into the index of words: all of them, or once they are many."""
        with _mapped():
            stats: Any = self._table.index_stats("words_idx")
            new, old = int(stats.num_unindexed_rows), int(stats.num_indexed_rows)
            if new and (whole or new >= max(_UNINDEXED_LEAST, _UNINDEXED_SHARE * old)):
                self._optimize()

    def index_vectors(self) -> None:
        """Build inverted lists over the vectors, 8 bits a dimension."""
        index: Any = import_module("lancedb.index").IvfSq(distance_type="dot")
        with _mapped():
            self._table.create_index(VECTOR, config=index)

    def unindexed_vectors(self) -> int | None:
        """How many rows the index of vectors lacks; None where there is no such index."""
        with _mapped():
            stats: Any = self._table.index_stats(f"{VECTOR}_idx")
        return None if stats is None else int(stats.num_unindexed_rows)

    def compact(self) -> None:
        """Join small files, give back what deleted rows held, and finish the indexes."""
        with _mapped():
            self._optimize(cleanup_older_than=timedelta(minutes=10))

    def _optimize(self, **options: Any) -> None:
        try:
            self._table.optimize(**options)
        except RuntimeError as error:
            # Another process is at the same work: it will be done, by one of the two.
            if "conflict" not in str(error):
                raise

    def _make(self) -> Any:
        arrow = self._arrow
        whole, text = arrow.int64(), arrow.string()
        schema = arrow.schema(
            [
                arrow.field("id", whole),
                arrow.field("number", whole),
                arrow.field("row", text),
                arrow.field("doc", text),
                arrow.field("path", text),
                arrow.field("page", whole),
                arrow.field("section", arrow.list_(text)),
                arrow.field("kind", text),
                arrow.field("said", text),
                arrow.field("text", arrow.large_binary()),
                arrow.field("words", text),
                arrow.field("embedded", arrow.bool_()),
            ]
        )
        return self._connection.create_table(_NAME, schema=schema, exist_ok=True)

    def _index(self) -> None:
        """Make the indexes that a new table lacks, or that a writer was killed before it made."""
        index: Any = import_module("lancedb.index")
        made = {one.name for one in self._table.list_indices()}
        if "words_idx" not in made:
            plain: Any = index.FTS(
                base_tokenizer="whitespace",
                lower_case=False,
                stem=False,
                remove_stop_words=False,
                ascii_folding=False,
                with_position=False,
                max_token_length=None,
            )
            self._table.create_index("words", config=plain)
        if "id_idx" not in made:
            self._table.create_index("id", config=index.BTree())


_PROBES, _REFINE = 64, 10


@contextmanager
def _mapped() -> Generator[None]:
    try:
        yield
    except (RuntimeError, OSError, ValueError) as error:
        problem = str(error).partition("/root/")[0][:300]
        if any(word in problem.lower() for word in ("no space", "os error 28", "file too large", "os error 27")):
            raise StorageFailed(f"the index cannot be written: {problem}", hint=_FULL) from None
        if "conflict" in problem:
            raise StorageFailed(f"another process changed the index: {problem}", hint=_BUSY) from None
        if isinstance(error, OSError) or "permission" in problem.lower():
            raise StorageFailed(f"the index cannot be used: {problem}", hint=_CHECK) from None
        raise UnusableIndex(f"the index is damaged or no index: {problem}") from None


_FULL = "Free some space on the disk and give the same command again: what was indexed is kept."
_BUSY = "Give the same command again: what was indexed is kept."
_CHECK = "Check that the folder of the index can be read and written."
