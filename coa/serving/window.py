"""The window of a model that may have to ask its server."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from coa.serving.base import Model

DEFAULT_WINDOW = 16_384
"""Models read 8k to 16k tokens at a time better than more (arXiv 2406.02818, section 5 on context windows)."""


@runtime_checkable
class LearnsWindow(Protocol):
    """A model whose window is not known before its server, or a large package, has been asked."""

    @property
    def window_is_assumed(self) -> bool:
        """Whether the window is a guess, because nobody said how long it is."""
        ...

    async def learn_window(self) -> None:
        """Ask, unless the window is known; afterwards it does not change."""
        ...


async def window_of(model: Model) -> int:
    """Prompt and reply together, in tokens: as the model says, after it has asked where it must."""
    if isinstance(model, LearnsWindow):
        await model.learn_window()
    return model.window


def is_assumed(model: Model) -> bool:
    """Whether the window is a guess that a smaller server will refuse; the run then learns it from the refusal."""
    return isinstance(model, LearnsWindow) and model.window_is_assumed


async def default_window(*models: Model) -> int:
    """The window where none was given: the smallest of the models', and no more than models read well."""
    return min(DEFAULT_WINDOW, *[await window_of(model) for model in models])
