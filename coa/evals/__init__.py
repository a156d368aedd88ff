"""Benchmarks: items out of a file that the user gives, run one by one, scored with the official metrics."""
