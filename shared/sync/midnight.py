"""Once a local day: everybody's next 48 hours are read again."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from zoneinfo import ZoneInfo

from shared.model import MailboxState
from shared.sync.interfaces import GROUP, PARTITIONS, Clock, Health, Leases, Users, WorkQueues

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
        reached = await self.health.midnight()
        if reached is None:
            await self.health.set_midnight(today, len(PARTITIONS))
            return 0
        if reached[0] > today or reached == (today, len(PARTITIONS)):
            return 0
        lease = await self.leases.acquire("midnight", self.clock(), _LEASE)
        if lease is None:
            return 0
        try:
            begin = reached[1] if reached[0] == today else 0
            asked = 0
            for number in range(begin, len(PARTITIONS)):
                asked += await self._ask(PARTITIONS[number], asked)
                await self.health.set_midnight(today, number + 1)
        finally:
            await self.leases.release(lease)
        _log.info("midnight", extra={"date": today, "users": asked})
        return asked

    async def _ask(self, partition: str, before: int) -> int:
        read: list[str] = []
        subscribe: list[str] = []
        async for user in self.users.in_partition(partition):
            if not user.is_active:
                continue
            found = user.mailbox_state is MailboxState.FOUND
            (read if found else subscribe).append(user.user.guid)
        for guids, ask in ((read, self.queues.read), (subscribe, self.queues.subscribe)):
            for group in batched(guids, GROUP, strict=False):
                await ask(group, "midnight", _delay(before))
                before += len(group)
        return len(read) + len(subscribe)


def _delay(before: int) -> timedelta:
    """How long a user waits before whom so many were asked for."""
    jitter = random.uniform(0, 2)  # noqa: S311
    return min(timedelta(seconds=before / RATE + jitter), SPREAD)
