"""Code: the files of a repository, what they define, and which of them matter for one place in one of them."""
