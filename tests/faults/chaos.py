"""What goes wrong, and when: all of it from one seed, counted by kind, with a trace of the steps."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """The kinds of faults, each counted."""

    KILLED_BEFORE = "killed before a call"
    KILLED_AFTER = "killed after a call took effect"
    STORAGE_REFUSED = "storage failed before a call"
    STORAGE_UNANSWERED = "storage failed after a call took effect"
    STORAGE_REPEATED = "call repeated by the storage client"
    STORAGE_DOWN = "storage away for a while"
    KILLED_IN_PEACE = "worker process ended by the host"
    MESSAGE_DOUBLED = "message doubled"
    MESSAGE_DELAYED = "message delayed"
    MESSAGE_AGAIN = "message handled but not deleted"
    TIMER_DOUBLED = "timer doubled"
    TIMERS_STOPPED = "timers stopped"
    EXCHANGE_BUSY = "Exchange busy"
    EXCHANGE_DOWN = "Exchange unavailable"
    EXCHANGE_UNANSWERED = "Exchange's answer lost"
    EXCHANGE_SLOW = "Exchange slow"
    MAILBOX_FAILED = "mailbox failed"
    SUBSCRIPTIONS_LOST = "all subscriptions lost"
    SUBSCRIPTIONS_ENDED = "subscription ended with an error notification"
    NOTIFICATION_LOST = "notification not taken"
    NOTIFICATION_DOUBLED = "notification doubled"
    NOTIFICATION_DELAYED = "notification delayed"
    CALLBACK_AWAY = "callback away for a while"
    PBX_DOWN = "PBX away for a while"
    PBX_DROPPED = "PBX session dropped in a window"
    PBX_REFUSED = "presence refused"
    PBX_SLOW = "PBX slow"


RATES: Mapping[Fault, float] = {
    Fault.KILLED_BEFORE: 0.002,
    Fault.KILLED_AFTER: 0.002,
    Fault.STORAGE_REFUSED: 0.001,
    Fault.STORAGE_UNANSWERED: 0.001,
    Fault.STORAGE_REPEATED: 0.004,
    Fault.MESSAGE_DOUBLED: 0.12,
    Fault.MESSAGE_DELAYED: 0.12,
    Fault.MESSAGE_AGAIN: 0.04,
    Fault.TIMER_DOUBLED: 0.05,
    Fault.EXCHANGE_BUSY: 0.02,
    Fault.EXCHANGE_UNANSWERED: 0.03,
    Fault.EXCHANGE_SLOW: 0.08,
    Fault.MAILBOX_FAILED: 0.03,
    Fault.NOTIFICATION_LOST: 0.10,
    Fault.NOTIFICATION_DOUBLED: 0.15,
    Fault.NOTIFICATION_DELAYED: 0.15,
    Fault.PBX_DROPPED: 0.06,
    Fault.PBX_REFUSED: 0.05,
    Fault.PBX_SLOW: 0.05,
}
"""How often, for each occasion, while there is no peace."""


MOST_CALLS = 60_000
"""Calls in a run: five times what a wild one needs. Work that asks for more work comes to that."""


class Overrun(BaseException):
    """Work multiplies without end."""


class Gate:
    """Holds one execution of ``function``, the next that begins, before its ``number``-th call."""

    def __init__(self, function: str, number: int) -> None:
        self.function = function
        self.calls = 0
        self.held = asyncio.Event()
        self.opened = asyncio.Event()
        self._number = number
        self._execution: object = None
        self._kill: Callable[[], None] = lambda: None

    def kill(self) -> None:
        """Kill the worker of the one that is held."""
        self._kill()

    async def pass_through(self, function: str, execution: object, kill: Callable[[], None]) -> None:
        """Wait where this is the execution and it has come so far."""
        if function != self.function or self._execution not in (None, execution):
            return
        self._execution, self._kill = execution, kill
        self.calls += 1
        if self.calls >= self._number and not self.opened.is_set():
            self.held.set()
            await self.opened.wait()


@dataclass(frozen=True, slots=True)
class Point:
    """Kill the worker at the ``number``-th call, before or after it took effect."""

    number: int
    after: bool


@dataclass
class Chaos:
    """Decides on faults. ``peace`` ends them; ``point`` replaces all of them by one kill.

    Where the queues are ``crowded`` there are fewer for a while: work that a killed worker had asked for
    again comes twice, which at these rates would grow without end.
    """

    seed: int
    rates: Mapping[Fault, float]
    clock: Callable[[], datetime]
    point: Point | None = None
    peace: bool = False
    crowded: Callable[[], bool] = lambda: False
    counts: Counter[Fault] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    number: int = 0
    gate: Gate | None = None
    overrun: str = ""

    def __post_init__(self) -> None:
        self._faults = Random(f"{self.seed} faults")
        self.latency = Random(f"{self.seed} latency")
        self.life = Random(f"{self.seed} life")
        self.trace: deque[str] = deque(maxlen=20_000)
        # Not every run has everything: what is rare shows better alone.
        scale = self._faults.choice((0.3, 1.0, 1.0, 2.0))
        self.rates = {
            fault: rate * scale * self._faults.choice((0, 1, 1, 2)) for fault, rate in self.rates.items()
        }

    def strikes(self, fault: Fault, about: str = "") -> bool:
        """Whether this happens now; counts it."""
        rate = self.rates.get(fault, 0.0)
        if self.peace or not rate or self._faults.random() >= rate or self.crowded():
            return False
        self.note(fault, about)
        return True

    def note(self, fault: Fault, about: str = "") -> None:
        """Count a fault."""
        self.counts[fault] += 1
        self.say(f"! {fault} {about}")

    def find_kill(self, call: str) -> Fault | None:
        """Whether the worker is killed at this call, and when."""
        self.calls[call] += 1
        self.number += 1
        if self.number > MOST_CALLS:
            self.overrun = f"more than {MOST_CALLS} calls, the most of all {self.calls.most_common(3)}"
            raise Overrun(self.overrun)
        fault = None
        if self.point is not None:
            if self.number == self.point.number:
                fault = Fault.KILLED_AFTER if self.point.after else Fault.KILLED_BEFORE
                self.note(fault, call)
        elif self.strikes(Fault.KILLED_BEFORE, call):
            fault = Fault.KILLED_BEFORE
        elif self.strikes(Fault.KILLED_AFTER, call):
            fault = Fault.KILLED_AFTER
        if fault is not None:
            self.kills[call] += 1
        return fault

    def delay(self, low: float, high: float) -> float:
        """Seconds that something takes."""
        return self.latency.uniform(low, high)

    def chance(self, rate: float) -> bool:
        """A choice that is no fault."""
        return self._faults.random() < rate

    def pick(self, low: float, high: float) -> float:
        """The extent of a fault."""
        return self._faults.uniform(low, high)

    def say(self, text: str) -> None:
        """Add a step to the trace."""
        self.trace.append(f"{self.clock():%d %H:%M:%S.%f}"[:-3] + f"  {text}")
