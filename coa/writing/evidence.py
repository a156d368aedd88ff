"""Passages for each leaf: found in an index of the sources, or, without a model, a stretch of the sources each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log
from pathlib import Path

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.base import Hit, Retriever
from coa.retrieval.index import Index
from coa.retrieval.terms import terms, word_count
from coa.sentences import sentence_spans
from coa.types import Evidence, Span
from coa.writing.allocate import allocate, leaf_count
from coa.writing.plan import Outline, Section

PASSAGES = 5
_TITLE_WORDS = 3
_WIDER = 10
"""A retriever that knows no conditions is asked for so many times the passages, where a section names its sources."""


async def found_for(
    outline: Outline, retriever: Retriever, documents: Sequence[Document], tag: str
) -> dict[str, tuple[Evidence, ...]]:
    """The passages for each leaf, by its id; markers are unique in the document.

    Only passages that stand in one of the documents to the letter count: a retriever is not believed.
    """
    by_id = {document.id: document for document in documents}
    allowed = sources_of(outline, documents)
    found: dict[str, tuple[Evidence, ...]] = {}
    for number, leaf in enumerate(outline.leaves()):
        query = " ".join([leaf.title, leaf.goal, *leaf.key_points, *leaf.must_mention]).strip() or outline.brief
        hits = await _hits(retriever, query, allowed.get(leaf.id))
        standing = [hit for hit in hits if (d := by_id.get(hit.span.doc)) and d.read(hit.span).strip()][:PASSAGES]
        found[leaf.id] = tuple(
            Evidence(marker=f"{tag}{number * PASSAGES + i}", span=hit.span, quote=by_id[hit.span.doc].read(hit.span))
            for i, hit in enumerate(standing, 1)
        )
    return found


def sources_of(outline: Outline, documents: Sequence[Document]) -> dict[str, set[str]]:
    """For each leaf whose plan names its sources, itself or above it, the ids of those documents.

    Raises:
        UsageError: a plan names a source that was not given.
    """
    names: dict[str, str] = {}
    for document in documents:
        names |= {document.id: document.id, document.path: document.id, Path(document.path).name: document.id}
    found: dict[str, set[str]] = {}

    def walk(sections: Sequence[Section], above: set[str]) -> None:
        for section in sections:
            if unknown := [name for name in section.sources if name not in names]:
                raise UsageError(
                    f"section {section.id} is to be written from {unknown[0]!r}, which is no source",
                    hint=f"Give it with --source; there are: {', '.join(document.path for document in documents)}.",
                )
            allowed = {names[name] for name in section.sources} or above
            if allowed and not section.children:
                found[section.id] = allowed
            walk(section.children, allowed)

    walk(outline.sections, set())
    return found


async def _hits(retriever: Retriever, query: str, allowed: set[str] | None) -> list[Hit]:
    if allowed is None:
        return (await retriever.search(query, PASSAGES))[:PASSAGES]
    if isinstance(retriever, Index):
        return await retriever.search(query, PASSAGES, where={"doc": {"in": sorted(allowed)}})
    return [hit for hit in await retriever.search(query, _WIDER * PASSAGES) if hit.span.doc in allowed]


def digest(
    brief: str, words: int, documents: Sequence[Document], tag: str
) -> tuple[Outline, dict[str, tuple[Evidence, ...]]]:
    """An outline over consecutive stretches of the sources, and the sentences of each: for writing without a model."""
    sentences = [
        (document.span(start, end), document.text[start:end])
        for document in documents
        for start, end in sentence_spans(document.text)
    ]
    count = min(leaf_count(words), len(sentences))
    stretches = [sentences[len(sentences) * i // count : len(sentences) * (i + 1) // count] for i in range(count)]
    weights = [sum(word_count(text) for _, text in stretch) for stretch in stretches]
    budgets = allocate(weights, words, [1] * count, [words] * count)
    titles = _titles([" ".join(text for _, text in stretch) for stretch in stretches])
    leaves = [
        Section(id=str(i), title=f"Part {i}: {title}", words=budget)
        for i, (title, budget) in enumerate(zip(titles, budgets, strict=True), 1)
    ]
    first = brief.strip().splitlines()[0]
    outline = Outline(title=first[:80], brief=brief, words=words, sections=leaves)
    return outline, _numbered(leaves, stretches, tag)


def _numbered(
    leaves: Sequence[Section], stretches: Sequence[Sequence[tuple[Span, str]]], tag: str
) -> dict[str, tuple[Evidence, ...]]:
    found: dict[str, tuple[Evidence, ...]] = {}
    number = 0
    for leaf, stretch in zip(leaves, stretches, strict=True):
        items: list[Evidence] = []
        for span, text in stretch:
            number += 1
            items.append(Evidence(marker=f"{tag}{number}", span=span, quote=text))
        found[leaf.id] = tuple(items)
    return found


def _titles(texts: Sequence[str]) -> list[str]:
    """The words that set each stretch apart from the others."""
    bags = [Counter(word for word in _plain_words(text)) for text in texts]
    spread = Counter(word for bag in bags for word in bag)
    titles: list[str] = []
    for bag in bags:
        best = sorted(bag, key=lambda word: (-bag[word] * log((1 + len(bags)) / spread[word] + 0.1), word))
        titles.append(", ".join(best[:_TITLE_WORDS]) or "…")
    return titles


def _plain_words(text: str) -> list[str]:
    return [word for word in (raw.strip(".,;:!?\"'“”‘’()") for raw in text.split()) if len(word) > 3 and terms(word)]
