"""Traceback: which segments of the source caused a claim."""
