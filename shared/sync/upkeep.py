"""Every five minutes: subscriptions that are missing or silent, readings and retries that got lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.model import Failure, MailboxState
from shared.sync.interfaces import Clock, Health, Presences, Users, WorkQueues
from shared.sync.subscribing import SILENCE

_LATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Finds what was forgotten and has it done."""

    users: Users
    presences: Presences
    health: Health
    queues: WorkQueues
    clock: Clock

    async def run(self) -> int:
        """Have every forgotten user subscribed or read, and the outbox emptied; return how many users."""
        asked = await self._ask(self.clock())
        if await self.presences.waits():
            await self.queues.publish("upkeep")
        return asked

    async def _ask(self, now: datetime) -> int:
        trouble = await self.health.trouble("exchange")
        if trouble is not None and trouble.retry_at > now - _LATE:
            # All work waits for Exchange: asking again and again would multiply it.
            return 0
        subscribe: list[str] = []
        read: list[str] = []
        async for user in self.users.neglected(silent_before=now - SILENCE, overdue_before=now - _LATE):
            if not user.is_active:
                continue
            sign = user.subscription.last_sign if user.subscription else None
            if user.mailbox_state is not MailboxState.FOUND or sign is None or sign < now - SILENCE:
                if user.failure is None or _is_overdue(user.failure, now):
                    subscribe.append(user.user.guid)
            else:
                read.append(user.user.guid)
        await self.queues.subscribe(subscribe, "upkeep")
        await self.queues.read(read, "upkeep")
        return len(subscribe) + len(read)


def _is_overdue(failure: Failure, now: datetime) -> bool:
    """Whether the retry got lost. One that lies ahead, or waits for midnight, is the one."""
    return failure.retry_at is not None and failure.retry_at < now - _LATE
