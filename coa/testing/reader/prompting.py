"""A chat as the reader was trained on it: contents that follow each other, then ``Answer:``. No roles."""

from __future__ import annotations

from collections.abc import Sequence

from coa.serving.base import Message

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}Answer: {{ message['content'] }}{{ eos_token }}\n"
    "{% else %}{{ message['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Answer:{% endif %}"
)
"""For servers: what `segments` gives, as a chat template."""


def segments(messages: Sequence[Message]) -> list[str]:
    """The texts between which the token for an end stands: one, and one more for each earlier answer."""
    found = [""]
    for message in messages:
        if message.role == "assistant":
            found[-1] += f"Answer: {message.content}"
            found.append("\n")
        else:
            found[-1] += f"{message.content}\n"
    found[-1] += "Answer:"
    return found
