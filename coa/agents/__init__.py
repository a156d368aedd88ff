"""The agents of a chain, and the checks between what a model says and what a reader sees."""
