"""The published AgentWrite (arXiv 2408.07055, section 3.2), for comparison: one plan, one call a line, all text so far.

Its weaknesses are kept: whatever line the plan holds is a step, lengths are asked for and never checked, and every call
reads everything written before. Errors are errors, though, and never text.
"""

from __future__ import annotations

from collections.abc import Callable

from coa.agents.replies import usable
from coa.prompts import Prompts
from coa.serving.base import Message, Request
from coa.writing.draft import Call

PLAN_TOKENS, STEP_TOKENS = 16_000, 4_096


async def agentwrite(
    call: Call, prompts: Prompts, brief: str, words: int, *, done: Callable[[], None] = lambda: None
) -> str:
    """Plan, then write line by line; the text is the replies, one after the other.

    Raises:
        InvalidReply: a reply was refused, empty or cut off.
    """
    plan = await _said(call, "planner", prompts["agentwrite_plan"].render(brief=brief, words=words), PLAN_TOKENS)
    paragraphs: list[str] = []
    for step in [line for line in plan.splitlines() if line.strip()]:
        prompt = prompts["agentwrite_step"].render(brief=brief, plan=plan, text="\n\n".join(paragraphs), step=step)
        paragraphs.append(await _said(call, "writer", prompt, STEP_TOKENS))
        done()
    return "\n\n".join(paragraphs) + "\n"


async def _said(call: Call, role: str, prompt: str, max_tokens: int) -> str:
    request = Request(messages=(Message(role="user", content=prompt),), role=role, max_tokens=max_tokens)
    return usable(await call(request))
