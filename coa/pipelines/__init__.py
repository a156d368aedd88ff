"""Topologies: how agents are connected into a run."""
