"""Every five minutes: subscriptions that are missing or silent, readings and retries that got lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.model import MailboxState
from shared.sync.interfaces import Clock, Presences, Users, WorkQueues
from shared.sync.subscribing import SILENCE

_LATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Finds what was forgotten and has it done."""

    users: Users
    presences: Presences
    queues: WorkQueues
    clock: Clock

    async def run(self) -> int:
        """Have every forgotten user subscribed or read, and the outbox emptied; return how many users."""
        now = self.clock()
        subscribe: list[str] = []
        read: list[str] = []
        async for user in self.users.neglected(silent_before=now - SILENCE, overdue_before=now - _LATE):
            if not user.is_active:
                continue
            sign = user.subscription.last_sign if user.subscription else None
            retry_at = user.failure.retry_at if user.failure else None
            if user.mailbox_state is not MailboxState.FOUND or sign is None or sign < now - SILENCE:
                # While a retry of a failed user lies ahead, that is the one.
                if retry_at is None or retry_at < now - _LATE:
                    subscribe.append(user.user.guid)
            else:
                read.append(user.user.guid)
        await self.queues.subscribe(subscribe, "upkeep")
        await self.queues.read(read, "upkeep")
        if await self.presences.waits():
            await self.queues.publish("upkeep")
        return len(subscribe) + len(read)
