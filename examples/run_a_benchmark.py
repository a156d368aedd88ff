"""A benchmark over a file of one's own, in the form of RULER's needles; offline finds words and understands nothing."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from coa.config import Settings
from coa.evals.run import evaluate

LOG = (Path(__file__).parent / "documents" / "lighthouse_log.txt").read_text("utf-8")
SECRETS = {"boathouse": "seven-four-one", "cellar": "two-two-nine"}


def needle(place: str, number: str, index: int) -> dict[str, object]:
    middle = len(LOG) * (index + 1) // 3
    text = f"{LOG[:middle]}\nThe number of the {place} lock is {number}.\n{LOG[middle:]}"
    return {"index": index, "input": f"{text}\nWhat is the number of the {place} lock?", "outputs": [number]}


with TemporaryDirectory() as folder:
    data = Path(folder) / "needles.jsonl"
    rows = [needle(place, number, index) for index, (place, number) in enumerate(SECRETS.items())]
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    report = asyncio.run(evaluate("niah", data, Settings.model_validate({"model": "offline", "journal": False})))
print(f"{report.benchmark}: {report.scores[report.main]:.2f} over {report.items} items, {report.calls} calls")
