"""A text of sales, and a model that takes every one of them out of it."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel


class Sale(BaseModel):
    who: str
    goods: str
    count: int


SALE = re.compile(r"(\w+) sold (\d+) barrels of (\w+) to the mate\.")
FILLER = "The tide went out and nobody said a word about it until the evening came. "


def text_of(sales: int) -> str:
    """So many sales with the same filler between them; every seller sells several times."""
    return "".join(f"{FILLER * 2}Seller{i % 7} sold {i % 13 + 1} barrels of tar to the mate. " for i in range(sales))


def given(match: re.Match[str]) -> str:
    record = {"who": match[1], "goods": match[3], "count": int(match[2])}
    return json.dumps({"quote": match[0], "record": record})


def faithful(passage: str) -> str:
    return "\n".join(given(match) for match in SALE.finditer(passage)) or "NO RECORDS"
