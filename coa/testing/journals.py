"""What every `coa.runtime.journal.Journal` must do. Call it from a test of your own journal.

::

    def test_my_journal_conforms(tmp_path):
        check_journal(lambda: MyJournal(tmp_path / "journal"))
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coa.runtime.journal import Journal, Overflow, Record
from coa.serving.base import Reply

Open = Callable[[], Journal]

_TEXTS = (
    "Notes.",
    "",
    "a lone surrogate \ud83d and a NUL \x00",
    'quotes " and \\ and \r\n and \u2028',
    "\u4f60\u597d e\u0301 \U0001f469\u200d\U0001f467",
    "x" * 300_000,
)
_MANY = 64


def check_journal(open_journal: Open, *, persistent: bool = True) -> None:
    """Run every check of this module, one after the other, on the same journal.

    Args:
        open_journal: Opens the same, at first empty, journal each time it is called.
        persistent: Whether a journal that was closed holds its records when it is opened again.

    Raises:
        AssertionError: the journal breaks the protocol; the message says how.
    """
    journal = open_journal()
    _empty(journal)
    _keeps_what_was_put(journal)
    _first_record_stays(journal)
    _in_order(journal)
    _side_by_side(journal)
    before = [(entry.seq, entry.key) for entry in journal.entries()]
    journal.close()
    if persistent:
        again = open_journal()
        _check([(entry.seq, entry.key) for entry in again.entries()] == before, "records are lost when it is closed")
        _check(again.get(_key(0)) == _record(_TEXTS[0]), "a record is another one when it is opened again")
        again.close()


def _empty(journal: Journal) -> None:
    _check(journal.get(_key(0)) is None, "an empty journal knows a call")
    _check(list(journal.entries()) == [], "an empty journal has entries")


def _keeps_what_was_put(journal: Journal) -> None:
    for number, text in enumerate(_TEXTS):
        journal.put(_key(number), _record(text))
        _check(journal.get(_key(number)) == _record(text), f"{text[:40]!r} does not come back as it was put")
    _check(journal.get(_key(999)) is None, "a call that was never made is known")
    overflow = Record(role="worker", messages=(), outcome=Overflow(message="long", limit=None, actual=9), seconds=0.0)
    journal.put("overflow", overflow)
    _check(journal.get("overflow") == overflow, "a refusal for length does not come back as it was put")


def _first_record_stays(journal: Journal) -> None:
    journal.put(_key(0), _record("another reply"))
    _check(journal.get(_key(0)) == _record(_TEXTS[0]), "a second record replaces the first")


def _in_order(journal: Journal) -> None:
    found = list(journal.entries())
    keys = [*map(_key, range(len(_TEXTS))), "overflow"]
    _check([entry.key for entry in found] == keys, "entries do not come in the order in which they were put")
    _check([entry.seq for entry in found] == list(range(1, len(keys) + 1)), "entries are not counted from 1")
    _check(found[0].record == _record(_TEXTS[0]), "an entry holds another record than `get` gives")
    for entry in journal.entries():
        _check(journal.get(entry.key) == entry.record, "a journal cannot be asked while its entries are read")


def _side_by_side(journal: Journal) -> None:
    """From one thread after another, as where a loop hands its work on; never two at once."""
    with ThreadPoolExecutor(1) as pool:
        for number in range(_MANY):
            pool.submit(journal.put, f"many {number}", _record(str(number))).result()
    for number in range(_MANY):
        _check(journal.get(f"many {number}") == _record(str(number)), "a record put by another thread is lost")


def _key(number: int) -> str:
    return f"{number:064x}"


def _record(text: str) -> Record:
    reply = Reply(text=text, finish="stop", model="m", prompt_tokens=9, cached_tokens=1, completion_tokens=2)
    return Record(role="worker", messages=(("system", "Be brief."), ("user", text)), outcome=reply, seconds=0.5)


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise AssertionError(problem)
