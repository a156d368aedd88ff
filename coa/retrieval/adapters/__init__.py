"""Between this library's retrievers and other libraries', both ways.

`coa.retrieval.adapters.langchain`, `.llamaindex` and `.haystack` each hold a class that offers an index to that
library, and one that makes a retriever of that library's serve here. Importing one of them imports its library; without
it `MissingExtra` is raised.
"""
