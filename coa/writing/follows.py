"""Whether a text does what its plan says, by likeness: each section its goal, every point made, every heading there.

Likeness is an embedder's, or of rare words where there is none: it points to places to look at and fails nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from coa.pipelines.likeness import Measure
from coa.sentences import sentence_spans
from coa.writing.finding import Finding
from coa.writing.markdown import headings, parts, prose
from coa.writing.plan import Outline, Section
from coa.writing.structure import planned_headings
from coa.writing.thresholds import HEADINGS_WARN, POINT_LEAST, POINT_QUANTILE

if TYPE_CHECKING:
    from coa.pipelines.likeness import Vectors

_CHUNK_WORDS = 200


def follows(text: str, outline: Outline, measure: Measure, measures: dict[str, float]) -> Iterator[Finding]:
    """What of a plan a text does not do.

    Args:
        text: In Markdown; sections are found by their headings.
        outline: The plan.
        measure: Makes vectors of texts.
        measures: Given ``adherence_1``, ``keypoint_recall`` and ``heading_soft_recall``, each from 0 to 1, where they
            can be measured.
    """
    bodies = _bodies(text, outline)
    yield from _adherence(outline, bodies, measure, measures)
    yield from _points(outline, bodies, measure, measures)
    yield from _headings(text, outline, measure, measures)


def soft_recall(planned: Sequence[str], found: Sequence[str], measure: Measure) -> float:
    """Heading soft recall of STORM (arXiv 2402.14207, section 4.2), from 0 to 1.

    ``card(X)`` is the sum over X of 1 / (sum of cosines with all of X); cosines below zero count as zero.
    """
    import numpy as np

    rows = measure([*planned, *found])

    def card(some: Vectors) -> float:
        alike = np.clip(some @ some.T, 0.0, 1.0)
        np.fill_diagonal(alike, 1.0)
        return float((1 / alike.sum(axis=1)).sum())

    ours, theirs = rows[: len(planned)], rows[len(planned) :]
    return (card(ours) + card(theirs) - card(rows)) / card(ours) if len(planned) and len(found) else 0.0


def _bodies(text: str, outline: Outline) -> dict[str, str]:
    """The prose of each leaf that has any, by the leaf's id: the first section of its title."""
    by_title: dict[str, str] = {}
    for part in parts(text):
        by_title.setdefault(part.title, prose(part.body))
    return {leaf.id: body for leaf in outline.leaves() if (body := by_title.get(leaf.title, ""))}


def _adherence(
    outline: Outline, bodies: Mapping[str, str], measure: Measure, measures: dict[str, float]
) -> Iterator[Finding]:
    """Each section is closest to its own node of the plan, of those that say what they are to achieve."""
    import numpy as np

    leaves = [leaf for leaf in outline.leaves() if leaf.goal or leaf.key_points]
    there = [leaf for leaf in leaves if leaf.id in bodies]
    if len(leaves) < 2 or not there:
        return
    chunks = [_chunks(bodies[leaf.id]) for leaf in there]
    rows = measure([*map(_aim, leaves), *(chunk for each in chunks for chunk in each)])
    nodes, at, own = rows[: len(leaves)], len(leaves), 0
    for leaf, each in zip(there, chunks, strict=True):
        scores = nodes @ rows[at : at + len(each)].mean(axis=0)
        at += len(each)
        closest = leaves[int(np.argmax(scores))]
        if closest is leaf and scores.max() > 0:
            own += 1
        else:
            value = (
                f"closest to what {closest.title!r} is to achieve" if scores.max() > 0 else "close to nothing planned"
            )
            yield Finding(check="adherence", where=leaf.title, value=value, fails=False)
    measures["adherence_1"] = round(own / len(there), 4)


def _points(
    outline: Outline, bodies: Mapping[str, str], measure: Measure, measures: dict[str, float]
) -> Iterator[Finding]:
    """Each key point has a sentence in its own section that is closer to it than those of other sections are.

    The sections that do not own a point stand for documents that do not make it: their closest sentences set the bar.
    """
    import numpy as np

    owned = [(leaf, point) for leaf in outline.leaves() for point in leaf.key_points]
    sentences = {id: [body[start:end] for start, end in sentence_spans(body)] for id, body in bodies.items()}
    if not owned or len(bodies) < 2:
        return
    rows = measure([*(point for _, point in owned), *(each for some in sentences.values() for each in some)])
    alike = rows[: len(owned)] @ rows[len(owned) :].T
    best: dict[str, list[float]] = {}
    at = 0
    for id, some in sentences.items():
        best[id] = [float(value) for value in alike[:, at : at + len(some)].max(axis=1)]
        at += len(some)
    strange = [best[id][i] for i, (leaf, _) in enumerate(owned) for id in best if id != leaf.id]
    bar = max(POINT_LEAST, float(np.quantile(strange, POINT_QUANTILE)))
    made = [leaf.id in best and best[leaf.id][i] >= bar for i, (leaf, _) in enumerate(owned)]
    measures["keypoint_recall"] = round(sum(made) / len(made), 4)
    for (leaf, point), is_made in zip(owned, made, strict=True):
        if not is_made:
            yield Finding(check="keypoint", where=leaf.title, value=f"not found: {point}", fails=False)


def _headings(text: str, outline: Outline, measure: Measure, measures: dict[str, float]) -> Iterator[Finding]:
    planned = [title for _, title in planned_headings(outline)[1:]]
    found = [title for level, title in headings(text) if level > 1]
    recall = round(soft_recall(planned, found, measure), 4)
    measures["heading_soft_recall"] = recall
    if recall < HEADINGS_WARN:
        yield Finding(check="heading_soft_recall", where="document", value=recall, fails=False)


def _aim(leaf: Section) -> str:
    return ". ".join([*([leaf.goal] if leaf.goal else []), *leaf.key_points])


def _chunks(body: str) -> list[str]:
    words = body.split()
    return [" ".join(words[i : i + _CHUNK_WORDS]) for i in range(0, len(words), _CHUNK_WORDS)] or [body]
