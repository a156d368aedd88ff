"""Units on a Qdrant server, or in the client's local mode."""
