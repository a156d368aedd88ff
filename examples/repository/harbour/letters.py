"""Letters to captains; nothing here has to do with berths."""


def greeting(captain: str) -> str:
    """How a letter begins."""
    return f"Dear Captain {captain},"
