"""Answers from retrieved passages: all in one call (DRAG), or with follow-up questions (IterDRAG)."""
