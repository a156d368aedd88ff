"""Aggregation: workers take typed records out of documents; counting, ranking, grouping and joining is done by code."""
