"""A worker of your own: it keeps the dates that it meets, and everything else of a run stays as it is."""

import re
from pathlib import Path

import coa
from coa.agents.base import Context
from coa.agents.team import Team
from coa.agents.worker import Worker, WorkerResult

LOG = Path(__file__).parent / "documents" / "lighthouse_log.txt"
DATE = re.compile(
    r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)


class DateKeeper(Worker):
    """Reads as any worker does, and writes down the dates of its part."""

    def __init__(self) -> None:
        self.dates: dict[int, list[str]] = {}

    async def run(self, request: coa.Request, ctx: Context) -> WorkerResult:
        passage = request.inputs["passage"]
        self.dates[passage.part] = list(dict.fromkeys(DATE.findall(passage.text)))
        return await super().run(request, ctx)


def main() -> None:
    keeper = DateKeeper()
    answer = coa.ask(LOG, "Who keeps the light on Gull Stack?", window=4096, team=Team(worker=keeper))
    print(answer.text)
    for part, dates in sorted(keeper.dates.items()):
        print(f"part {part}: {', '.join(dates) or 'no dates'}")


if __name__ == "__main__":
    main()
