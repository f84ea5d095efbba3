"""Timers may stop (azure-functions-host #11828): whatever else runs starts their work when it is overdue."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.sync.directory import EVERY, TASK
from shared.sync.interfaces import Clock, Health, Heartbeat, Leases, WorkQueues

_log = logging.getLogger(__name__)

LONGEST_SILENCE: Mapping[str, timedelta] = {
    "tick": timedelta(minutes=2),
    "midnight": timedelta(minutes=30),
    "upkeep": timedelta(minutes=12),
    TASK: EVERY + timedelta(minutes=15),
}
"""The timers, and the age of its last run after which each is overdue."""

LOOK_EVERY = timedelta(minutes=1)
"""A process looks no more often than that, and overdue work is started no more often."""


@dataclass(slots=True)
class Overdue:
    """Starts overdue work by a message, once for all instances. Keep one for each process."""

    health: Health
    leases: Leases
    queues: WorkQueues
    clock: Clock
    looked_at: datetime | None = None

    async def look(self) -> int:
        """Start the tick if it is overdue; it starts all else. Return how many timers were started.

        At most one look a minute, which is one point read while the timers run.
        """
        now = self.clock()
        if self.looked_at is not None and now - self.looked_at < LOOK_EVERY:
            return 0
        self.looked_at = now
        return await self._start([await self.health.heartbeat("tick")], ["tick"])

    async def start_others(self) -> int:
        """Start what is overdue besides the tick and the directory, which the tick starts itself."""
        heartbeats = (await self.health.overview()).heartbeats
        return await self._start(heartbeats.values(), ["midnight", "upkeep"])

    async def _start(self, heartbeats: Iterable[Heartbeat | None], tasks: Iterable[str]) -> int:
        now = self.clock()
        last = {heartbeat.name: heartbeat for heartbeat in heartbeats if heartbeat is not None}
        started = 0
        for task in tasks:
            if not is_late(last.get(task), LONGEST_SILENCE[task], now):
                continue
            # Never released: that it lasts is what keeps the others from starting it too.
            if await self.leases.acquire(f"overdue-{task}", now, LOOK_EVERY) is None:
                continue
            _log.warning("timer overdue", extra={"task": task})
            await self.queues.catch_up(task)
            started += 1
        return started


def is_late(last: Heartbeat | None, longest: timedelta, now: datetime) -> bool:
    """Whether a task's last run is longer ago than that, or never was."""
    return last is None or now - last.at > longest
