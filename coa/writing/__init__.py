"""Long documents, written to a plan: planned, budgeted, grounded, resumable (AgentWrite, arXiv 2408.07055)."""
