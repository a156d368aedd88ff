"""The dense half of the SQLite store: which row of the vector file belongs to which unit, and the nearest of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coa.errors import UnusableIndex
from coa.retrieval.base import Embedding
from coa.retrieval.filters import Condition
from coa.retrieval.refusals import check_vectors, wrong_size
from coa.retrieval.sqlite import ann
from coa.retrieval.sqlite.conditions import sql
from coa.retrieval.sqlite.database import bump, number
from coa.retrieval.sqlite.vectors import VectorFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 1 << 14
_FEW = 20_000
"""So many rows, or fewer, are compared one by one."""
_MANY = 0.1
"""Above this share of all rows, multiplying all of them is cheaper than picking some out."""


class Dense:
    """Vectors of one folder. Every method works inside the transaction of the connection it is given."""

    def __init__(self, folder: Path, ann_from: int, kind: ann.Kind) -> None:
        self._folder, self.ann_from = folder, ann_from
        self._kind: ann.Kind = kind
        self._dead: tuple[int, NDArray[np.int64]] | None = None
        self._ann: ann.Approximate | None = None

    def close(self) -> None:
        """Forget what is mapped."""
        self._dead = self._ann = None

    def append(
        self,
        connection: sqlite3.Connection,
        embedding: Embedding | None,
        numbers: Sequence[int],
        vectors: NDArray[np.float32],
    ) -> None:
        """Write vectors behind the last ones, and let the units point to them."""
        embedding = check_vectors(embedding, len(numbers), vectors)
        first = number(connection, "slots")
        count = self._file(connection, embedding).write(first, [vectors])
        known = _slots_of(connection, numbers)
        connection.executemany("insert into dead values (?)", [(slot,) for slot in known.values() if slot is not None])
        placed = [(first + at, unit) for at, unit in enumerate(numbers) if unit in known]
        connection.executemany("update units set slot = ? where id = ?", placed)
        orphans = [(first + at,) for at, unit in enumerate(numbers) if unit not in known]
        connection.executemany("insert into dead values (?)", orphans)
        bump(connection, "slots", count)

    def read(
        self, connection: sqlite3.Connection, embedding: Embedding | None, numbers: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """The vectors of those units that have one."""
        import numpy as np

        if embedding is None:
            return {}
        matrix = self._file(connection, embedding).rows(number(connection, "slots"))
        known = _slots_of(connection, numbers)
        return {unit: np.array(matrix[slot]) for unit, slot in known.items() if slot is not None}

    def search(
        self,
        connection: sqlite3.Connection,
        embedding: Embedding | None,
        vector: NDArray[np.float32],
        k: int,
        where: Condition | None,
        among: Collection[int] | None,
    ) -> dict[int, float]:
        """Cosine of the nearest units, or of all units of ``among``."""
        if embedding is None:
            return {}
        if vector.shape != (embedding.dimensions,):
            raise wrong_size(vector.shape, embedding)
        matrix = self._file(connection, embedding).rows(number(connection, "slots"))
        if among is None and where is None:
            slots, scores = self._nearest_of_all(connection, matrix, vector, k)
        else:
            allowed = _allowed(connection, where, among)
            slots, scores = self._nearest_of_some(
                connection, matrix, vector, allowed, len(allowed) if among is not None else k
            )
        query = "select slot, id from units where slot in (select value from json_each(?))"
        units = dict(connection.execute(query, (json.dumps(slots.tolist()),)).fetchall())
        found = zip(slots.tolist(), scores.tolist(), strict=True)
        return {units[slot]: score for slot, score in found if slot in units}

    def compact(self, connection: sqlite3.Connection, embedding: Embedding | None) -> None:
        """Write the living vectors, in the order of their units, into a file of the next generation; index many."""
        if embedding is None:
            return
        if connection.execute("select 1 from dead limit 1").fetchone():
            self._rewrite(connection, embedding)
        if self.stale(connection, 1) or self._broken(connection):
            slots = number(connection, "slots")
            name = f"ann-{number(connection, 'generation'):06d}-{slots}.faiss"
            ann.build(self._folder / name, self._file(connection, embedding).rows(slots), self._kind)
            connection.execute("insert or replace into meta values ('ann', ?)", (name,))
            bump(connection, "indexed", slots - number(connection, "indexed"))

    def stale(self, connection: sqlite3.Connection, most: int) -> bool:
        """Whether there are vectors for FAISS, and ``most`` of them or more are not in its file."""
        slots = number(connection, "slots")
        return slots >= self.ann_from and slots - number(connection, "indexed") >= most and ann.available()

    def _broken(self, connection: sqlite3.Connection) -> bool:
        try:
            self._approximate(connection)
        except UnusableIndex:
            return True
        return False

    def _rewrite(self, connection: sqlite3.Connection, embedding: Embedding) -> None:
        old = self._file(connection, embedding).rows(number(connection, "slots"))
        order = [row[0] for row in connection.execute("select slot from units where slot is not null order by id")]
        generation = number(connection, "generation") + 1
        count = VectorFile(self._folder, generation, embedding.dimensions).write(0, _blocks(old, order))
        connection.execute(
            "create temp table moved as "
            "select id, row_number() over (order by id) - 1 as slot from units where slot is not null"
        )
        connection.execute("update units set slot = null where slot is not null")
        connection.execute("update units set slot = m.slot from temp.moved m where m.id = units.id")
        connection.execute("drop table temp.moved")
        connection.execute("delete from dead")
        bump(connection, "generation", 1)
        bump(connection, "slots", count - number(connection, "slots"))
        connection.execute("delete from meta where key in ('ann', 'indexed')")

    def tidy(self, connection: sqlite3.Connection) -> None:
        """Take away files that are no longer the index's, or never became it."""
        current = {f"vectors-{number(connection, 'generation'):06d}.f32", _text(connection, "ann")}
        for path in (*self._folder.glob("vectors-*.f32"), *self._folder.glob("ann-*.faiss")):
            if path.name not in current:
                path.unlink(missing_ok=True)

    def _file(self, connection: sqlite3.Connection, embedding: Embedding) -> VectorFile:
        return VectorFile(self._folder, number(connection, "generation"), embedding.dimensions)

    def _nearest_of_all(
        self, connection: sqlite3.Connection, matrix: NDArray[np.float32], vector: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import numpy as np

        dead = self._dead_slots(connection)
        index = self._approximate(connection)
        if index is None:
            scores = matrix @ vector
            scores[dead] = -np.inf
            slots, scores = best(None, scores, k)
            return slots[scores > -np.inf], scores[scores > -np.inf]
        near = index.nearest(vector, _wide(k), without=dead[dead < index.count])
        tail = np.setdiff1d(np.arange(index.count, len(matrix)), dead, assume_unique=True)
        return _exact(matrix, vector, np.concatenate([near, tail]), k)

    def _nearest_of_some(
        self,
        connection: sqlite3.Connection,
        matrix: NDArray[np.float32],
        vector: NDArray[np.float32],
        allowed: NDArray[np.int64],
        k: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        import numpy as np

        index = self._approximate(connection)
        if index is not None and len(allowed) > _FEW and k < len(allowed):
            near = index.nearest(vector, _wide(k), only=allowed[allowed < index.count])
            allowed = np.concatenate([near, allowed[allowed >= index.count]])
        return _exact(matrix, vector, allowed, k)

    def _approximate(self, connection: sqlite3.Connection) -> ann.Approximate | None:
        """The file of FAISS, where there is one and the package to read it."""
        name = _text(connection, "ann")
        if not name or not ann.available():
            return None
        if self._ann is None or self._ann.path.name != name:
            self._ann = ann.Approximate(self._folder / name)
        return self._ann

    def _dead_slots(self, connection: sqlite3.Connection) -> NDArray[np.int64]:
        import numpy as np

        state = number(connection, "state")
        if self._dead is None or self._dead[0] != state:
            rows = connection.execute("select slot from dead where slot < ?", (number(connection, "slots"),))
            self._dead = (state, np.fromiter((row[0] for row in rows), dtype=np.int64))
        return self._dead[1]


def _wide(k: int) -> int:
    """Candidates to score exactly for ``k``: what 8 bits put in a wrong order is put right."""
    return max(4 * k, 100)


def _exact(
    matrix: NDArray[np.float32], vector: NDArray[np.float32], slots: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best ``k`` of some rows."""
    many = len(slots) > _MANY * len(matrix)
    return best(slots, (matrix @ vector)[slots] if many else matrix[slots] @ vector, k)


def best(
    slots: NDArray[np.int64] | None, scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` highest scores, best first, ties by slot; ``slots`` None numbers the scores from 0."""
    import numpy as np

    if k < len(scores):
        chosen = np.argpartition(scores, len(scores) - k)[-k:]
        slots, scores = chosen if slots is None else slots[chosen], scores[chosen]
    slots = np.arange(len(scores)) if slots is None else slots
    order = np.lexsort((slots, -scores))
    return slots[order], scores[order]


def _text(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def _slots_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, int | None]:
    query = "select id, slot from units where id in (select value from json_each(?))"
    return dict(connection.execute(query, (json.dumps(list(numbers)),)).fetchall())


def _allowed(
    connection: sqlite3.Connection, where: Condition | None, among: Collection[int] | None
) -> NDArray[np.int64]:
    import numpy as np

    clauses, values = ["u.slot is not null"], list[object]()
    if where is not None:
        clause, bound = sql(where)
        clauses.append(f"({clause})")
        values += bound
    if among is not None:
        clauses.append("u.id in (select value from json_each(?))")
        values.append(json.dumps(sorted(among)))
    tables = "units u join documents d on d.number = u.id >> 20"
    rows = connection.execute(f"select u.slot from {tables} where {' and '.join(clauses)}", values)
    return np.fromiter((row[0] for row in rows), dtype=np.int64)


def _blocks(matrix: NDArray[np.float32], order: list[int]) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(order), _BLOCK):
        yield matrix[order[at : at + _BLOCK]]
