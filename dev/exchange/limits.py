"""Throttling: how many requests may be under way, what is answered beyond, and who comes too early.

Published source: Microsoft, *EWS throttling in Exchange* (concurrency, back-off).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from dev.exchange.faults import Fault, read_fault

PER_MAILBOX = 27
ON_ITS_WAY = 0.5
"""Seconds after a busy signal in which requests that were already on their way arrive."""

_SIGNALS = ("status", "soap", "response")


@dataclass(slots=True)
class Limits:
    """At most ``total`` and ``per_mailbox`` requests at a time (None: no limit).

    ``signal`` is answered beyond: a fault of kind status, soap or response.
    """

    total: int | None = None
    per_mailbox: int | None = PER_MAILBOX
    signal: Fault = field(default_factory=lambda: Fault("soap", code="ErrorExceededConnectionCount"))

    def judge(self, under_way: Counter[str], mailbox: str | None) -> Fault | None:
        """The signal, where one request is too many. ``under_way`` counts by mailbox, under "" in all."""
        if self.total is not None and under_way[""] > self.total:
            return self.signal
        if self.per_mailbox is not None and mailbox and under_way[mailbox] > self.per_mailbox:
            return self.signal
        return None

    def write(self) -> dict[str, Any]:
        return asdict(self)


def read_limits(data: Mapping[str, Any]) -> Limits:
    """Raises ValueError with a sentence about what is wrong."""
    values = dict(data)
    if isinstance(values.get("signal"), Mapping):
        values["signal"] = read_fault(values["signal"])
        if values["signal"].kind not in _SIGNALS:
            raise ValueError(f"signal: {values['signal'].kind!r} is none of {', '.join(_SIGNALS)}")
    for name in ("total", "per_mailbox"):
        if not isinstance(values.get(name), int | None) or values.get(name) == 0:
            raise ValueError(f"{name}: {values[name]!r} is no number of requests")
    try:
        return Limits(**values)
    except TypeError as error:
        raise ValueError(f"limits: {error}") from error


class Pauses:
    """The pauses that busy signals named."""

    def __init__(self) -> None:
        self._named: list[tuple[float, float]] = []

    def note(self, fault: Fault) -> None:
        """A signal was answered; what it says of a pause holds from now on."""
        seconds = 0.0
        if fault.kind == "status" and fault.status == 503:
            seconds = float(fault.retry_after or 0)
        elif fault.kind == "soap":
            seconds = (fault.back_off or 0) / 1000
        now = monotonic()
        self._named = [(since, until) for since, until in self._named if until > now]
        if seconds:
            self._named.append((now + ON_ITS_WAY, now + seconds))

    def is_on(self) -> bool:
        """Whether a request that arrives now should not have been sent."""
        now = monotonic()
        return any(since < now < until for since, until in self._named)
