"""The one door to a model: journal, budget, limits, retries, and the run directory that keeps them."""
