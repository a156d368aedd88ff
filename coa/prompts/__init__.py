"""Prompts are files: front matter (version, inputs) and a Jinja template, one file a prompt.

Values are inserted and never rendered again, so a document that contains ``{{ ... }}`` stays text.
"""

from coa.prompts.loader import Prompt, Prompts, prompts_of

__all__ = ["Prompt", "Prompts", "prompts_of"]
