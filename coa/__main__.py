"""``python -m coa``, and the command ``coa``: Ctrl-C ends it as quietly while it still loads as it does later."""

import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from coa.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
