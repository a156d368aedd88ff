"""Finding the passages of an index that bear on a query."""
