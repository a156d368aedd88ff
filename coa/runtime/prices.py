"""What a model costs: the user's prices first, then the table that `genai-prices` carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_FREE = ("offline", "scripted:", "vllm:")
_MILLION = 1_000_000
_SHORT, _LONG = 1_000, 100 * _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens.

    Attributes:
        cached: For the part of the prompt that the provider had in its cache; None where that is not cheaper.
        long: What a call costs whose prompt has more than ``long_from`` tokens, where providers charge more for it.
        long_from: See ``long``.
    """

    prompt: float
    reply: float
    cached: float | None = None
    long: Price | None = None
    long_from: int = 0

    def at(self, prompt_tokens: int) -> Price:
        """The price of one call whose prompt is so long."""
        return self.long if self.long is not None and prompt_tokens > self.long_from else self

    def cost(self, prompt_tokens: int, reply_tokens: int, cached_tokens: int = 0) -> float:
        """US dollars for so many tokens; ``cached_tokens`` are a part of ``prompt_tokens``."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = (prompt_tokens - cached_tokens) * self.prompt
        return (fresh + cached_tokens * cached + reply_tokens * self.reply) / _MILLION


def dearest(prices: Sequence[Price | None]) -> Price | None:
    """A price that no call of any of these exceeds; None where one of them is not known."""
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    whole = [price.long or price for price in known] if len(known) > 1 else known
    if len(whole) == 1:
        return whole[0]
    return Price(prompt=max(price.prompt for price in whole), reply=max(price.reply for price in whole))


def price_for(model_name: str, prices: tuple[float, float] | None = None) -> Price | None:
    """The price of a model; None where it is not known. Models that run here cost nothing.

    Args:
        model_name: As a user writes it, such as ``openai:gpt-5-mini``.
        prices: The user's own: prompt and reply, US dollars per million tokens.
    """
    if prices is not None:
        return Price(prompt=prices[0], reply=prices[1])
    if model_name.startswith(_FREE):
        return Price(prompt=0.0, reply=0.0)
    return _from_table(model_name)


def _from_table(model_name: str) -> Price | None:
    provider, _, name = model_name.partition(":")
    if provider == "litellm":
        provider, slash, name = name.partition("/")
        if not slash:
            provider, name = "", provider
    try:
        price = _measured(name, provider, _SHORT)
        long_from = _long_from(name, provider)
    except LookupError:
        return None
    if long_from is None:
        return price
    return replace(price, long=_measured(name, provider, _LONG), long_from=long_from)


def _measured(name: str, provider: str, size: int) -> Price:
    """The price per million, as the table applies it to calls with a prompt of ``size`` tokens."""
    from genai_prices import Usage, calc_price

    fresh = calc_price(Usage(input_tokens=size, output_tokens=size), name, provider_id=provider or None)
    cached = calc_price(Usage(input_tokens=size, cache_read_tokens=size), name, provider_id=provider or None)
    scale = _MILLION / size
    return Price(
        prompt=float(fresh.input_price) * scale,
        reply=float(fresh.output_price) * scale,
        cached=float(cached.input_price) * scale,
    )


def _long_from(name: str, provider: str) -> int | None:
    """Where the first dearer tier begins; the dearest is then taken for all that is longer, to be on the safe side."""
    from genai_prices import Usage, calc_price
    from genai_prices.types import TieredPrices

    table: ModelPrice = calc_price(Usage(input_tokens=_SHORT), name, provider_id=provider or None).model_price
    tiers = [price.tiers for price in (table.input_mtok, table.output_mtok) if isinstance(price, TieredPrices)]
    return min((tier.start for group in tiers for tier in group), default=None)
