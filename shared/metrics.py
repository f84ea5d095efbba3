"""What is counted and measured: each number with its name and its meaning, and one way to count.

A process adds up in memory and writes its totals of the hour now and then, so that counting costs no
request of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

_log = logging.getLogger(__name__)

COUNTERS: Mapping[str, str] = {
    "notifications": "Messages from Exchange that were taken, signs of life included.",
    "changes": "Messages from Exchange that reported a change.",
    "notifications_refused": "Calls that were refused: a wrong secret, too long, or no notification.",
    "unsubscribed": "Subscriptions that were ended because nobody wants them any more.",
    "reads": "Calendars that were read.",
    "subscriptions": "Subscriptions that Exchange granted, renewals included.",
    "presences": "Presences that the PBX acknowledged.",
    "presences_refused": "Presences of single users that the PBX refused.",
    "due": "Presences computed anew because an appointment began or ended.",
    "midnight": "Users whose reading was asked for because a new day had begun.",
    "neglected": "Users found by the upkeep: a silent subscription, lost work, a new user.",
    "polled": "Users whose reading was asked for because Exchange is polled.",
    "postponed": "Users whose turn was put off, because Exchange was busy enough or wanted a pause.",
    "users_added": "Users that the PBX listed for the first time.",
    "users_changed": "Users that the PBX listed with other properties than before.",
    "users_removed": "Users that left the PBX or the scope.",
    "errors_user": "Attempts that failed for one user.",
    "errors_exchange": "Times that Exchange failed as a whole.",
    "errors_pbx": "Times that the PBX failed as a whole.",
    "given_up": "Messages that a queue gave up after five attempts.",
    "overdue": "Overdue timers whose work was started by another function.",
}
"""The counters, by name."""

DURATIONS: Mapping[str, str] = {
    "notification": "Taking a message from Exchange, until it is answered.",
    "sync": "Reading the calendars of one message.",
    "subscribe": "Finding and subscribing the mailboxes of one message.",
    "publish": "Telling the PBX what waits.",
    "replicate": "Replicating the PBX's users.",
    "configure": "Having a changed configuration take effect.",
    "tick": "Computing the presences whose moment has come.",
    "midnight": "A look whether a day has begun, with asking for everybody's reading.",
    "upkeep": "Looking for what was forgotten.",
}
"""What is measured, by name: an execution of the function of that name, in seconds."""

FLUSH_EVERY = timedelta(seconds=15)
"""The totals are written no more often than that; a killed process loses as much."""


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something was done, how many seconds that took together, and the longest of them."""

    runs: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def __add__(self, other: Duration) -> Duration:
        return Duration(
            self.runs + other.runs, self.seconds + other.seconds, max(self.longest, other.longest)
        )


@dataclass(slots=True)
class Tally:
    """Counts and durations by name; what is absent is zero."""

    counts: Counter[str] = field(default_factory=Counter)
    durations: dict[str, Duration] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.counts or self.durations)

    def __add__(self, other: Tally) -> Tally:
        names = self.durations.keys() | other.durations.keys()
        return Tally(
            self.counts + other.counts,
            {
                name: self.durations.get(name, Duration()) + other.durations.get(name, Duration())
                for name in names
            },
        )


@dataclass(frozen=True, slots=True)
class Hour:
    """What all processes counted and measured in the hour that began at ``begin``, in UTC."""

    begin: datetime
    counts: Mapping[str, int]
    durations: Mapping[str, Duration]


class CounterSink(Protocol):
    """Where totals are kept."""

    async def put(self, hour: datetime, process: str, tally: Tally) -> None:
        """Keep the totals of a process in an hour, in place of those that were kept."""


class Instruments(Protocol):
    """Where every count and duration is told of at once, besides."""

    def count(self, name: str, n: int) -> None: ...
    def observe(self, name: str, seconds: float) -> None: ...


class Metrics:
    """Counts for one process. ``process`` tells it from all others, also those before it."""

    def __init__(self, sink: CounterSink, process: str, also: Instruments | None = None) -> None:
        self._sink = sink
        self._process = process
        self._also = also
        self._pending = Tally()
        self._written = Tally()
        self._hour: datetime | None = None
        self._flushed_at: datetime | None = None
        self._flushing = False

    def count(self, name: str, n: int = 1) -> None:
        """Count ``n`` more of one of `COUNTERS`. Raises KeyError for another name."""
        COUNTERS[name]
        if n:
            self._pending.counts[name] += n
            if self._also is not None:
                self._also.count(name, n)

    def observe(self, name: str, seconds: float) -> None:
        """Note how long one of `DURATIONS` took. Raises KeyError for another name."""
        DURATIONS[name]
        before = self._pending.durations.get(name, Duration())
        self._pending.durations[name] = before + Duration(1, seconds, seconds)
        if self._also is not None:
            self._also.observe(name, seconds)

    async def flush(self, now: datetime) -> None:
        """Write the totals of the hour, if something was counted and the last time is long enough ago.

        What can't be written is written the next time; that is logged and never fails the caller's work.
        """
        early = self._flushed_at is not None and now - self._flushed_at < FLUSH_EVERY
        if early or self._flushing or not self._pending:
            return
        self._flushed_at = now
        self._flushing = True
        pending, self._pending = self._pending, Tally()
        hour = now.replace(minute=0, second=0, microsecond=0)
        total = self._written + pending if hour == self._hour else pending
        try:
            await self._sink.put(hour, self._process, total)
        except Exception as error:
            self._pending = pending + self._pending
            _log.warning("counters not written", exc_info=error)
        else:
            self._hour, self._written = hour, total
        finally:
            self._flushing = False
