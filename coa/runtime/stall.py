"""A server that takes requests and answers none: told from one slow call, so that a run does not wait for hours."""

from __future__ import annotations

from coa.errors import CallTimeout, ProviderUnavailable
from coa.runtime.clock import Clock

_PATIENCE = 2


class StallWatch:
    """Counts the calls that ran into their deadline while no call at all was answered.

    A call that times out alone is sent again like any other. When time ran out for a second call that started after
    the first had, and nothing was answered between, the server hangs: waiting eight more times would not help.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._rounds = 0

    def answered(self) -> None:
        """Something came back, whatever it was: the server works."""
        self._since, self._rounds = None, 0

    def timed_out(self, error: CallTimeout, *, began: float, model: str) -> CallTimeout | ProviderUnavailable:
        """What a call that ran out of time failed of: of its deadline, or of a server that hangs."""
        if self._since is None or began >= self._since:
            self._rounds += 1
            self._since = self._clock.now()
        if self._rounds < _PATIENCE:
            return error
        stalled = ProviderUnavailable(
            f"{model} answered nothing at all for {_PATIENCE} whole timeouts: the server takes requests but hangs",
            hint="Look at the server (coa vllm --check URL for vLLM) or restart it; then resume the run.",
        )
        stalled.retryable = False
        return stalled
