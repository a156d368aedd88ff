"""How many of a plan's rules a text keeps, after LongGenBench's metrics (arXiv 2409.02076), by words alone."""

from __future__ import annotations

from collections.abc import Iterator

from coa.writing.finding import Finding
from coa.writing.markdown import parts
from coa.writing.measure import mentions
from coa.writing.plan import Constraint, Outline, Section


def rules_kept(text: str, outline: Outline, measures: dict[str, float]) -> Iterator[Finding]:
    """The rules that are broken.

    Args:
        text: In Markdown; of two sections with one title the first counts.
        outline: Its leaves say what they must mention, or must not.
        measures: Given ``completion`` (leaves that are there), ``stic_lex_1`` (rules kept of those whose leaf is
            there) and ``stic_lex_2`` (of all rules), in per cent. The paper lets a model judge; this counts words.
    """
    blocks: dict[str, str] = {}
    for part in parts(text):
        blocks.setdefault(part.title, part.body)
    leaves = outline.leaves()
    there = sum(leaf.title in blocks for leaf in leaves)
    checks = [(leaf.title, rule) for leaf in leaves for rule in _rules_of(leaf)]
    standing = [(title, rule) for title, rule in checks if title in blocks]
    kept = [(title, rule) for title, rule in standing if mentions(blocks[title], rule.text) != (rule.kind == "forbid")]
    measures["completion"] = round(100 * there / len(leaves), 2)
    if checks:
        measures["stic_lex_1"] = round(100 * len(kept) / max(1, len(standing)), 2)
        measures["stic_lex_2"] = round(100 * len(kept) / len(checks), 2)
    for title, rule in standing:
        if (title, rule) not in kept:
            yield Finding(check="rule", where=title, value=f"{rule.kind}: {rule.text}")


def _rules_of(leaf: Section) -> list[Constraint]:
    musts = [Constraint(kind="once", text=text) for text in leaf.must_mention]
    return musts + [Constraint(kind="forbid", text=text) for text in leaf.never_mention]
