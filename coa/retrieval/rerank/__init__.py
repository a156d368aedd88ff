"""Second thoughts about hits: a language model ranks them as a list, or a cross-encoder scores them one by one."""
