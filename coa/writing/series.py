"""Like parts in a row, as the command line says them: ``station:120:80`` and ``once 7: a bridge``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError

from coa.errors import UsageError
from coa.writing.plan import Constraint, Outline, Series

_RULE = re.compile(r"\s*(once|range|periodic|every|forbid)\b\s*([\d\s/-]*):\s*(\S.*)", re.DOTALL)
_RULE_HINT = "Say 'every: X', 'once 7: X', 'range 3-9: X', 'periodic 5/25: X' (from 5, each 25th) or 'forbid: X'."


def series_outline(
    brief: str, series: str | None, rules: Sequence[str], *, style: str = "", language: str = ""
) -> Outline:
    """The outline of a series: no model is asked.

    Raises:
        UsageError: the series or a rule makes no sense, or a rule names a part that does not exist.
    """
    if series is None:
        raise UsageError("rules are about the parts of a series", hint="Give --series UNIT:COUNT:WORDS too.")
    try:
        unit, count, words = series.rsplit(":", 2)
        data = {
            "title": brief.strip().splitlines()[0][:80],
            "brief": brief,
            "style": style,
            "language": language,
            "series": Series(unit=unit.strip(), count=int(count), words_each=int(words)).model_dump(),
            "rules": [rule_of(rule).model_dump() for rule in rules],
        }
        return Outline.model_validate(data)
    except ValidationError as error:
        raise UsageError(error.errors()[0]["msg"], hint="Mend --series or --must.") from None
    except ValueError:
        raise UsageError(f"{series!r} is no series", hint="Say UNIT:COUNT:WORDS, such as station:120:80.") from None


def rule_of(text: str) -> Constraint:
    """A rule as the command line says it.

    Raises:
        UsageError: it makes no sense.
    """
    match = _RULE.fullmatch(text)
    numbers = [int(number) for number in re.findall(r"\d+", match[2])] if match else []
    needed = {"once": 1, "range": 2, "periodic": 2, "every": 0, "forbid": 0}
    if match is None or len(numbers) != needed[match[1]]:
        raise UsageError(f"{text!r} is no rule", hint=_RULE_HINT)
    kind, phrase = match[1], match[3].strip()
    start = numbers[0] if numbers else 1
    if kind == "range":
        return Constraint(kind="range", text=phrase, start=start, stop=numbers[1])
    if kind == "periodic":
        return Constraint(kind="periodic", text=phrase, start=start, step=max(1, numbers[1]))
    return Constraint.model_validate({"kind": kind, "text": phrase, "start": start})
