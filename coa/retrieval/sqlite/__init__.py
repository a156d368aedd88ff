"""The embedded store: one SQLite file for documents, units and words, memory-mapped files for vectors."""
