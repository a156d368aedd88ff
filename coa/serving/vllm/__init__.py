"""A local vLLM: what fits on a GPU, started, watched and checked."""
