"""What a model costs: the user's prices first, then the table that `genai-prices` carries."""

from __future__ import annotations

from dataclasses import dataclass

_FREE = ("offline", "scripted", "vllm:")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    prompt: float
    reply: float

    def cost(self, prompt_tokens: int, reply_tokens: int) -> float:
        """US dollars for so many tokens."""
        return (prompt_tokens * self.prompt + reply_tokens * self.reply) / _MILLION


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
    from genai_prices import Usage, calc_price

    provider, _, name = model_name.partition(":")
    if provider == "litellm":
        provider, _, name = name.partition("/")
    try:
        prompt = calc_price(Usage(input_tokens=_MILLION), model_ref=name, provider_id=provider)
        reply = calc_price(Usage(output_tokens=_MILLION), model_ref=name, provider_id=provider)
    except LookupError:
        return None
    return Price(prompt=float(prompt.total_price), reply=float(reply.total_price))
