"""LanceDB as a store: a folder of columns, no server, several writers."""
