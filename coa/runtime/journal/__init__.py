"""Every model call, written before its reply is used: cache and resume are one thing."""

from coa.runtime.journal.base import Entry, Journal, Overflow, Record, request_key
from coa.runtime.journal.memory import MemoryJournal
from coa.runtime.journal.sqlite import SqliteJournal

__all__ = ["Entry", "Journal", "MemoryJournal", "Overflow", "Record", "SqliteJournal", "request_key"]
