"""From where on the checks of a text warn, and from where on they fail: nowhere else."""

LENGTH_FAIL = 95.0
"""S_l of LongBench-Write, from 0 to 100."""

WITHIN = 0.1
"""How far a section's words may be from its target to count as within it."""

REPEATS_WARN, REPEATS_FAIL = 0.2, 0.3
"""Largest share of repeated 4-grams in any 300 words; clean prose stays below the first."""

TAIL_FAIL = 0.5
"""The same in the last 300 words."""

COPIES_WARN, COPIES_FAIL = 0.02, 0.05
"""Share of a section's 8-grams that stand in earlier ones."""

SAME_PARAGRAPH, PARAGRAPH_WORDS, SENTENCE_WORDS = 0.5, 20, 6
"""Share of 5-grams that makes two paragraphs the same; shorter paragraphs and sentences are not compared."""

HEADINGS_WARN = 0.8
"""Soft recall of the planned headings."""

POINT_QUANTILE, POINT_LEAST = 0.95, 0.1
"""A key point is made from this quantile on of the likeness to sections that do not own it, and from this cosine on."""

CITED_WARN = 0.5
"""Share of sentences with figures or names that carry a citation, in a text that cites."""

VARIANT_LETTERS = 6
"""Shorter words are not compared with names spelled almost the same."""
