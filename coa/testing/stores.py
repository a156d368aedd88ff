"""What every `coa.retrieval.base.Store` must do. Call it from a test of your own store.

::

    def test_my_store_conforms(tmp_path):
        check_store(lambda: MyStore(tmp_path))       # opens the same, at first empty, store each time it is called
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from coa.documents import Document, SourceMap
from coa.errors import CoaError, StorageFailed, UnusableIndex, UsageError
from coa.retrieval.base import CountsWords, Embedding, Entry, Record, Store, Unit
from coa.retrieval.entries import record
from coa.retrieval.filters import condition
from coa.retrieval.terms import terms

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

Open = Callable[[], Store]

EMBEDDING = Embedding(name="letters", fingerprint="letters:1", dimensions=26)
_ALL = condition({"and": [{"not": {"kind": "no such kind"}}]})
_MOST = 1_000


def vector(text: str) -> NDArray[np.float32]:
    """The embedding of this suite: how often each letter occurs, at unit length; zeros for a text without letters."""
    import numpy as np

    counts = np.array([text.lower().count(chr(ord("a") + i)) for i in range(EMBEDDING.dimensions)], dtype=np.float32)
    return counts / max(float(np.linalg.norm(counts)), 1.0)


def document(name: str, text: str, pages: tuple[int, ...] = ()) -> Document:
    """A document whose id is the name of its file."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(id=name, path=f"{name}.md", text=text, sha256=digest, source_map=SourceMap(pages=pages))


_LIGHT = document(
    "light",
    "# The light\n\nThe keeper trimmed the lantern every evening.\n\n## Storms\n\n"
    "In the great storm the lantern went out — «nie wieder», 灯油 ran low — and no ship came.\n\n"
    "Afterwards the keeper wrote it all down in the log.",
    pages=(0, 60),
)
_SOUP = document("soup", "# Kitchen\n\nPea soup needs bacon and patience. The cook of the harbour inn knew both.")
_ODD = document("odd", "A NUL \x00 and a lone surrogate \ud83d stand beside the zeppelin. \u202eBackwards\u202c.")
_RECORDS = (
    record(_LIGHT, {"year": 1881, "speaker": "Ann", "date": "1881-03-04"}),
    record(_SOUP, {"year": 1902, "speaker": "Bob", "date": "1902-11-30"}),
    record(_ODD),
)


def check_store(open_again: Open) -> None:
    """Run every check of this module, one after the other, against one store.

    Args:
        open_again: Opens the same store for writing each time it is called; the first time it must be empty.

    Raises:
        AssertionError: the store breaks the protocol; the message says how.
    """
    for check in (
        starts_empty,
        inserts,
        finds_words,
        counts_words,
        finds_vectors,
        filters_before_scoring,
        refuses_what_does_not_fit,
        replaces_by_content,
        keeps_other_kinds,
        deletes,
        compacts,
        keeps_two_of_one_name_apart,
        survives_two_writers,
        reopens,
    ):
        try:
            check(open_again)
        except CoaError as error:
            raise AssertionError(f"{check.__name__}: raised {error.code}: {error}") from error
        except AssertionError as error:
            raise AssertionError(f"{check.__name__}: {error}") from error


def starts_empty(open_again: Open) -> None:
    """An empty store answers every question."""
    with _opened(open_again) as store:
        _check(_is_store(store), "it lacks a member of coa.retrieval.base.Store")
        _check(store.sources() == [] and store.embedding is None, "a new store is not empty")
        _check(store.search_lexical(["lantern"], 5) == {}, "words were found in an empty store")
        _check(store.units([1, 2]) == [] and store.lacking(5) == [], "units in an empty store")
        _check(store.document("light") is None, "a document in an empty store")
        _check(store.text("light") == "" and not store.remove("light.md"), "a document in an empty store")


def inserts(open_again: Open) -> None:
    """Documents and units come back as they went in: to the character, with pages, sections and fields."""
    with _opened(open_again) as store:
        ids = store.put(_RECORDS)
        _check(ids == ["light", "soup", "odd"], f"the documents are called {ids!r}")
        wanted = {one.document.source for one in _RECORDS}
        _check(set(store.sources()) == wanted, f"the sources are {store.sources()!r}")
        for one in _RECORDS:
            _stands_as_it_was(store, one)


def finds_words(open_again: Open) -> None:
    """BM25: the unit that holds a rare word comes first, its neighbours may follow, among scores what is asked."""
    with _opened(open_again) as store:
        for word, doc in (("bacon", "soup"), ("zeppelin", "odd"), ("灯油", "light"), ("storm", "light")):
            found = store.search_lexical(terms(word), 5)
            _check(bool(found), f"{word!r} is not found")
            best = store.units([max(found, key=lambda unit: (found[unit], -unit))])[0]
            _check(best.span.doc == doc and word in best.text.lower(), f"{word!r} finds {best.text!r} first")
            _check(all(math.isfinite(score) and score > 0 for score in found.values()), "BM25 is not above 0")
        many = store.search_lexical(terms("keeper lantern soup bacon"), 100)
        few = store.search_lexical(terms("keeper lantern soup bacon"), 2)
        _check(len(few) == 2 and all(_near(many[unit], score) for unit, score in few.items()), "k changes the scores")
        asked = sorted(many)[1:3]
        among = store.search_lexical(terms("keeper lantern soup bacon"), 1, among=asked)
        _check(sorted(among) == asked, "among does not score exactly what it was given")
        _check(all(_near(many[unit], score) for unit, score in among.items()), "among changes the scores")
        for terms_ in ([], ['" OR *'], ["zzzz"], ["near(", "not"]):
            _check(store.search_lexical(terms_, 3) == {}, f"{terms_!r} found something")


def counts_words(open_again: Open) -> None:
    """A store that counts words gives the units of each document that hold a word, or two near each other."""
    with _opened(open_again) as store:
        if not isinstance(store, CountsWords):
            return
        found = store.count_words([("keep",), ("lantern", "trim"), ("bacon",), ("bacon", "lantern")])
        ids = {source.path: source.id for source in store.sources()}
        light, soup = ids[_LIGHT.path], ids[_SOUP.path]
        _check(found.units[0].get(light, 0) > 0, "a word of a document is not counted")
        _check(list(found.units[1:]) == [{light: 1}, {soup: 1}, {}], f"units are miscounted: {found.units[1:]}")
        _check(found.documents == len(ids), f"{found.documents} documents are said to be there, not {len(ids)}")
        _check(found.lengths == {light: len(_LIGHT.text), soup: len(_SOUP.text)}, "lengths are not those of the texts")
        only = store.count_words([("keep",)], where=condition({"year": 1902}))
        _check(not only.units[0].get(light), "a word is counted that the filter leaves out")


def finds_vectors(open_again: Open) -> None:
    """Cosine, exactly; units without a vector are passed over until they have one."""
    with _opened(open_again) as store:
        store.claim(EMBEDDING)
        waiting = store.lacking(_MOST)
        _check(len(store.lacking(2)) == 2 and store.waiting() == len(waiting), "lacking and waiting do not count alike")
        _check({unit.id for unit in waiting} == set(_all(store)), "lacking does not list every unit without a vector")
        store.set_vectors([unit.id for unit in waiting[:2]], _matrix(waiting[:2]))
        _check(len(store.search_dense(vector("lantern"), 10)) == 2, "units without a vector were scored, or others not")
        store.set_vectors([unit.id for unit in waiting[2:]], _matrix(waiting[2:]))
        _check(store.lacking(5) == [] and store.waiting() == 0, "something lacks a vector still")
        query = vector("pea soup with bacon")
        found = store.search_dense(query, _MOST)
        _check(len(found) == len(waiting), "not every unit was scored")
        for unit in waiting:
            _check(abs(found[unit.id] - float(vector(unit.text) @ query)) < 1e-3, "a cosine is wrong")
        best = store.search_dense(query, 1)
        _check(list(best) == [max(found, key=lambda unit: (found[unit], -unit))], "the nearest is not the nearest")
        asked = sorted(found)[1:3]
        _check(sorted(store.search_dense(query, 1, among=asked)) == asked, "among does not score what it was given")
        kept = store.vectors(asked)
        _check(sorted(kept) == asked and all(kept[u.id].shape == (26,) for u in store.units(asked)), "vectors are lost")


def filters_before_scoring(open_again: Open) -> None:
    """A filter decides what is scored: the best that meet it are found, however good the others are."""
    cases: list[tuple[dict[str, object], set[str]]] = [
        ({"doc": "soup"}, {"soup"}),
        ({"path": {"in": ["soup.md", "odd.md"]}}, {"soup", "odd"}),
        ({"speaker": "Ann"}, {"light"}),
        ({"year": {"gte": 1890}}, {"soup"}),
        ({"date": {"gte": "1881-01-01", "lte": "1881-12-31"}}, {"light"}),
        ({"year": {"gte": "1881-01-01"}}, set()),
        ({"or": [{"speaker": "Ann"}, {"year": 1902}]}, {"light", "soup"}),
        ({"not": {"speaker": "Ann"}}, {"soup", "odd"}),
        ({"and": [{"section": "Kitchen"}, {"kind": "text"}]}, {"soup"}),
        ({"section": {"in": ["Storms"]}}, {"light"}),
        ({"page": {"lte": 2}}, {"light"}),
        ({"nobody": "said"}, set()),
        ({}, {"light", "soup", "odd"}),
    ]
    with _opened(open_again) as store:
        for where, docs in cases:
            tree = condition(where)
            met = {unit.span.doc for unit in store.units(store.find(tree, _MOST))}
            _check(met == docs, f"{where!r} is met by units of {sorted(met)!r}, not of {sorted(docs)!r}")
            dense = store.units(list(store.search_dense(vector("the lantern of the keeper"), 1, where=tree)))
            _check({unit.span.doc for unit in dense} <= docs and bool(dense) == bool(docs), f"dense, {where!r}")
            words = store.search_lexical(terms("keeper soup zeppelin"), _MOST, where=tree)
            _check({unit.span.doc for unit in store.units(list(words))} == docs, f"words, {where!r}")


def refuses_what_does_not_fit(open_again: Open) -> None:
    """Another model's vectors, and vectors of another length, are refused with a hint; nothing changes."""
    import numpy as np

    with _opened(open_again) as store:
        store.claim(EMBEDDING)
        unit = store.find(_ALL, 1)
        _raises(UnusableIndex, lambda: store.claim(replace(EMBEDDING, fingerprint="another:1")))
        _raises(UsageError, lambda: store.search_dense(np.zeros(3, dtype=np.float32), 1))
        _raises(UsageError, lambda: store.set_vectors(unit, np.zeros((1, 3), dtype=np.float32)))
        _check(store.embedding == EMBEDDING and store.lacking(5) == [], "a refusal changed the store")


def replaces_by_content(open_again: Open) -> None:
    """A changed document takes the place of the old one; units whose text stayed keep their vectors."""
    changed = document("light", _LIGHT.text.replace("every evening", "at dusk"), pages=(0, 55))
    with _opened(open_again) as store:
        _check(store.put([record(changed)]) == ["light"], "the changed document has another id")
        _check(len(store.sources()) == len(_RECORDS), "the old document is still there")
        _check(not store.search_lexical(terms("evening"), 5), "the old words are still found")
        waiting = store.lacking(_MOST)
        _check([unit for unit in waiting if "dusk" in unit.text] == waiting != [], "vectors were not kept by content")
        store.set_vectors([unit.id for unit in waiting], _matrix(waiting))
        _stands_as_it_was(store, record(changed))
        for unit in store.units(list(store.search_dense(vector("lantern"), _MOST))):
            own = vector(unit.text)
            _check(
                _near(float(store.vectors([unit.id])[unit.id] @ own), float(own @ own)), "a unit has another's vector"
            )


def keeps_other_kinds(open_again: Open) -> None:
    """A summary is found by its own words, points to its span, and can be filtered out."""
    text = record(_SOUP)
    about = Entry(start=0, end=40, kind="summary", text="A recipe with xylophone.", fields={"by": "worker"})
    with _opened(open_again) as store:
        store.put([Record(document=_SOUP, entries=[*text.entries, about])])
        found = store.units(list(store.search_lexical(terms("xylophone"), 3)))
        _check([unit.text for unit in found] == [about.text], "a summary is not found by its words")
        _check(found[0].kind == "summary" and found[0].span == _SOUP.span(0, 40), "a summary lost its kind or place")
        none = store.search_lexical(terms("xylophone"), 3, where=condition({"kind": "text"}))
        _check(none == {}, "a summary was found as text")
        store.put([text])
        _check(not store.search_lexical(terms("xylophone"), 3), "a summary outlived its document")


def deletes(open_again: Open) -> None:
    """What is removed is found no more, by words or by vectors."""
    with _opened(open_again) as store:
        _check(store.remove("soup.md") and not store.remove("soup.md"), "remove does not tell whether there was one")
        _check({source.id for source in store.sources()} == {"light", "odd"}, "the wrong document was removed")
        _check(not store.search_lexical(terms("bacon"), 5), "removed words are found")
        left = {unit.span.doc for unit in store.units(list(store.search_dense(vector("pea soup"), _MOST)))}
        _check("soup" not in left, "removed vectors are found")


def compacts(open_again: Open) -> None:
    """Compacting changes nothing that can be seen."""
    with _opened(open_again) as store:
        before = _seen(store)
        store.compact()
        _check(_seen(store) == before, "compacting changed what is found")
    with _opened(open_again) as store:
        _check(_seen(store) == before, "compacting changed what is found after opening again")


def keeps_two_of_one_name_apart(open_again: Open) -> None:
    """Two paths with one file name are two documents, identical or not."""
    twins = [replace(_SOUP, path=f"{place}/soup.md") for place in ("a", "b")]
    with _opened(open_again) as store:
        ids = store.put([record(twin) for twin in twins])
        _check(len(set(ids)) == 2, f"two documents are both called {ids[0]!r}")
        found = store.units(list(store.search_lexical(terms("bacon"), 10)))
        _check({unit.path for unit in found} == {"a/soup.md", "b/soup.md"}, "identical documents hide each other")
        _check(all(store.text(u.span.doc, u.span.start, u.span.end) == u.text for u in found), "places were mixed up")
        for twin in twins:
            store.remove(twin.path)


def survives_two_writers(open_again: Open) -> None:
    """A second writer works, or is refused with `StorageFailed`; nobody's committed work is lost."""
    written: list[str] = []
    with _opened(open_again) as one:
        try:
            with _opened(open_again) as two:
                for name, store in (("first", one), ("second", two), ("third", one)):
                    store.put([record(document(name, f"The {name} writer mentions marmalade."))])
                    written.append(name)
        except StorageFailed as error:
            _check(bool(error.hint), "the refusal of a second writer needs a hint")
        found = one.units(list(one.search_lexical(terms("marmalade"), 10)))
        _check({unit.span.doc for unit in found} == set(written), "a writer's work is lost")
        for name in written:
            one.remove(f"{name}.md")


def reopens(open_again: Open) -> None:
    """What was there is there after closing and opening."""
    with _opened(open_again) as store:
        before = _seen(store)
        store.close()
    with _opened(open_again) as store:
        _check(_seen(store) == before and store.embedding == EMBEDDING, "reopening changed the store")


@contextmanager
def _opened(open_again: Open) -> Generator[Store]:
    store = open_again()
    try:
        yield store
    finally:
        store.close()


def _stands_as_it_was(store: Store, expected: Record) -> None:
    doc = expected.document
    again = store.document(doc.id)
    _check(again is not None and again.source == doc.source and again.text == doc.text, f"the document {doc.id!r}")
    _check(again is not None and again.source_map.pages == doc.source_map.pages, f"the pages of {doc.id!r}")
    _check(store.text(doc.id) == doc.text and store.text(doc.id, 3, 9) == doc.text[3:9], f"the text of {doc.id!r}")
    units = store.units(store.find(condition({"doc": doc.id}), _MOST))
    _check(len(units) == len(expected.entries), f"{len(units)} units of {doc.id!r}, not {len(expected.entries)}")
    for unit, entry in zip(units, expected.entries, strict=True):
        _check((unit.span.start, unit.span.end) == (entry.start, entry.end), f"a place in {doc.id!r} moved")
        _check(unit.text == doc.text[entry.start : entry.end], f"the text at {unit.span!r} is not the document's")
        _check((unit.page, unit.section) == (entry.page, entry.section), f"page or section of {unit.span!r}")
        _check(dict(unit.fields) == dict(entry.fields) and unit.path == doc.path, f"fields or path of {unit.span!r}")
    _check([unit.id for unit in units] == list(range(units[0].id, units[0].id + len(units))), "numbers have gaps")


def _seen(store: Store) -> object:
    units = store.units(store.find(_ALL, _MOST))
    dense = store.search_dense(vector("the keeper's lantern"), _MOST)
    words = store.search_lexical(terms("keeper lantern zeppelin"), _MOST)
    return (
        sorted(source.id for source in store.sources()),
        sorted((unit.span, unit.text) for unit in units),
        {unit.span: round(dense[unit.id], 3) for unit in store.units(sorted(dense))},
        {unit.span for unit in store.units(sorted(words))},
    )


def _matrix(units: Sequence[Unit]) -> NDArray[np.float32]:
    import numpy as np

    return np.stack([vector(unit.text) for unit in units])


def _all(store: Store) -> list[int]:
    return store.find(_ALL, _MOST)


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 1e-3


def _raises(kind: type[CoaError], call: Callable[[], object]) -> None:
    try:
        call()
    except kind as error:
        _check(bool(error.hint), f"{error} needs a hint")
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def _is_store(value: object) -> bool:
    return isinstance(value, Store)


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise AssertionError(problem)
