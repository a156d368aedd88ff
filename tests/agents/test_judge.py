"""What a judge is shown, and which replies of its name a text."""

from __future__ import annotations

import pytest

from coa.agents.base import Context
from coa.agents.fence import Fence
from coa.agents.judge import Candidate, Judge
from coa.errors import InvalidReply
from coa.prompts import Prompts
from coa.testing import ScriptedModel
from coa.types import Citation, Span, Task

CITED = Citation(marker=1, span=Span(doc="d", start=0, end=8), quote="he  rowed\nout", line=1)
CANDIDATES = (Candidate(text="He left. [1]", citations=(CITED,)), Candidate(text="He stayed.", citations=()))


def context(model: ScriptedModel, kind: str = "qa", query: str | None = "Did he leave?") -> Context:
    return Context(
        call=model.complete,
        counter=model.counter,
        prompts=Prompts(),
        fence=Fence(token="0" * 16, tag="kqz"),
        task=Task(kind=kind, query=query),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("reply", "index"), [("B", 1), ("a", 0), ("**B**", 1), ("(A) cites it", 0), ("The best is B.", 1), ("Answer: A", 0)]
)
async def test_a_letter_names_a_text(reply: str, index: int) -> None:
    model = ScriptedModel([reply])
    ctx = context(model)
    assert await Judge().run(Judge().request(CANDIDATES, ctx), ctx) == index


@pytest.mark.parametrize("reply", ["C", "Both are good.", "I'd say B", "Better: none"])
async def test_anything_else_is_asked_for_again_and_then_refused(reply: str) -> None:
    model = ScriptedModel([reply, reply])
    ctx = context(model)
    with pytest.raises(InvalidReply):
        await Judge().run(Judge().request(CANDIDATES, ctx), ctx)
    model.assert_consumed()


@pytest.mark.parametrize(
    ("kind", "query", "said"),
    [
        ("qa", "Who?", "The question: Who?"),
        ("verify", "He left.", "supports this claim: He left."),
        ("summary", None, "a summary of the document"),
        ("summary", "boats", "with attention to: boats"),
        ("complete", "x = 1\n", "next lines of a file"),
    ],
)
def test_the_prompt_says_what_was_asked_and_fences_the_texts(kind: str, query: str | None, said: str) -> None:
    ctx = context(ScriptedModel([]), kind, query)
    prompt = Judge().request(CANDIDATES, ctx).messages[0].content
    assert said in prompt
    fenced = prompt.split(ctx.fence.open + "\n")[1].split(ctx.fence.close)[0]
    assert "A.\nHe left. [1]\nCited words of A:\n  [1] he rowed out" in fenced
    assert "B.\nHe stayed." in fenced
