"""The command line: thin. Each command turns its arguments into a task and settings, and shows what comes back."""
