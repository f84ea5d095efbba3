"""Once a local day: everybody's next 48 hours are read again."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from zoneinfo import ZoneInfo

from shared.sync.interfaces import GROUP, PARTITIONS, Clock, Health, Leases, Users, WorkQueues
from shared.sync.subscribing import is_resolved

_log = logging.getLogger(__name__)

SPREAD = timedelta(minutes=15)
"""The last reading waits no longer than that."""

RATE = 50
"""Users a second, lest everybody meets Exchange at once."""

_LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Midnight:
    """Starts the day: once, however often and late it is asked."""

    users: Users
    health: Health
    leases: Leases
    queues: WorkQueues
    clock: Clock

    async def run(self, zone: ZoneInfo) -> int:
        """Have everybody read if the local date has changed since the last time; return how many.

        A run that was killed is resumed at the partition it had come to. On the very first day nothing is
        read: the directory has just had everybody read.
        """
        today = self.clock().astimezone(zone).date().isoformat()
        if await self.health.midnight() is None:
            await self.health.set_midnight(today, len(PARTITIONS))
        if await self._find_begin(today) == len(PARTITIONS):
            return 0
        lease = await self.leases.acquire("midnight", self.clock(), _LEASE)
        if lease is None:
            return 0
        try:
            asked = 0
            # Another run may have come further before it gave the lease back.
            for number in range(await self._find_begin(today), len(PARTITIONS)):
                asked += await self._ask(PARTITIONS[number], asked)
                await self.health.set_midnight(today, number + 1)
        finally:
            await self.leases.release(lease)
        _log.info("midnight", extra={"date": today, "users": asked})
        return asked

    async def _find_begin(self, today: str) -> int:
        """The partition to go on with; their number where the day has been started."""
        date, done = await self.health.midnight() or ("", 0)
        return done if date == today else 0 if date < today else len(PARTITIONS)

    async def _ask(self, partition: str, before: int) -> int:
        read: list[str] = []
        subscribe: list[str] = []
        async for user in self.users.in_partition(partition):
            if not user.is_active:
                continue
            (read if is_resolved(user) else subscribe).append(user.user.guid)
        for guids, ask in ((read, self.queues.read), (subscribe, self.queues.subscribe)):
            for group in batched(guids, GROUP, strict=False):
                await ask(group, "midnight", _delay(before))
                before += len(group)
        return len(read) + len(subscribe)


def _delay(before: int) -> timedelta:
    """How long a user waits before whom so many were asked for."""
    jitter = random.uniform(0, 2)  # noqa: S311
    return min(timedelta(seconds=before / RATE + jitter), SPREAD)
