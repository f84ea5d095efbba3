"""Rounds over all users: everybody's reading is asked for, in groups, spread over time, and resumable."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import batched

from shared.errors import StateConflict
from shared.sync.interfaces import GROUP, PARTITIONS, Clock, Health, Leases, Progress, Users, WorkQueues
from shared.sync.subscribing import is_resolved

_log = logging.getLogger(__name__)

RATE = 50
"""Users a second, lest everybody meets Exchange at once: what 20 requests side by side read."""

_JITTER = 2.0
"""Seconds by which a group comes later than its turn, at most."""

_LEASE = timedelta(minutes=10)

Find = Callable[[Progress | None], Progress | None]
"""From how far a round has come to the one to go on with, or None where nothing is to be done now."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Asks for everybody's reading: once a round, however often and late it is asked."""

    users: Users
    health: Health
    leases: Leases
    queues: WorkQueues
    clock: Clock

    async def run(self, name: str, find: Find, longest: timedelta, *, poll: bool = False) -> int:
        """Carry the round ``name`` on that ``find`` finds; return for how many users was asked.

        A run that was killed is resumed at the partition it had come to. The last user waits for about
        ``longest`` at most: where there are too many for `RATE`, the rate grows. With ``poll`` only those are
        read whose mailbox is known, and each subscription is forgotten; Exchange learns that from the answer
        to its next message.
        """
        if find(await self.health.progress(name)) is None:
            return 0
        lease = await self.leases.acquire(name, self.clock(), _LEASE)
        if lease is None:
            return 0
        asked = 0
        try:
            # Another run may have come further before it gave the lease back.
            progress = find(await self.health.progress(name))
            if progress is None:
                return 0
            census = await self.health.census()
            rate = max(RATE, (census.total if census else 0) / longest.total_seconds())
            for partition in PARTITIONS[progress.done :]:
                found = await self._ask(name, partition, asked, rate, poll)
                asked += found
                # First: who was overtaken must not put the round back to where it was.
                held = await self.leases.renew(lease, self.clock(), _LEASE)
                if held is None:
                    return asked
                lease = held
                done = progress.done + 1
                ended = self.clock() if done == len(PARTITIONS) else None
                progress = replace(progress, done=done, users=progress.users + found, ended=ended)
                await self.health.set_progress(name, progress)
        finally:
            await self.leases.release(lease)
        _log.info("round", extra={"round": name, "key": progress.key, "users": progress.users})
        return asked

    async def _ask(self, name: str, partition: str, before: int, rate: float, poll: bool) -> int:
        read: list[str] = []
        subscribe: list[str] = []
        async for user in self.users.in_partition(partition):
            if not user.is_active:
                continue
            if is_resolved(user):
                read.append(user.user.guid)
            elif not poll:
                subscribe.append(user.user.guid)
            if poll and user.subscription is not None:
                try:
                    await self.users.set_subscription(user.user.guid, None)
                except StateConflict:
                    continue
        for guids, ask in ((read, self.queues.read), (subscribe, self.queues.subscribe)):
            for group in batched(guids, GROUP, strict=False):
                jitter = random.uniform(0, _JITTER)  # noqa: S311
                await ask(group, name, timedelta(seconds=before / rate + jitter))
                before += len(group)
        return len(read) + len(subscribe)
