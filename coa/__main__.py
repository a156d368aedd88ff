"""``python -m coa``."""

from coa.cli.main import main

main()
