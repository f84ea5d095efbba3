"""Every five minutes: subscriptions that are missing or silent, readings and retries that got lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.errors import StateConflict
from shared.model import CalendarUser, Failure, MailboxState
from shared.sync.backlog import is_behind
from shared.sync.interfaces import Census, Clock, Health, Presences, QueueWatch, Users, WorkQueues
from shared.sync.leaving import Farewell
from shared.sync.subscribing import SILENCE

_LATE = timedelta(minutes=5)

_SOON_COUNTED = 5000
"""So many users are counted at every run, more of them every quarter of an hour."""

_COUNTED_EVERY = timedelta(minutes=14)


class CensusTaker(Protocol):
    """Counts the users by their state."""

    async def count(self, now: datetime, silence: timedelta) -> Census: ...


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Finds what was forgotten and has it done."""

    users: Users
    presences: Presences
    farewell: Farewell
    health: Health
    queues: WorkQueues
    waiting: QueueWatch
    census: CensusTaker
    clock: Clock

    async def run(self, *, poll: bool = False) -> int:
        """Have every forgotten user subscribed or read, and the outbox emptied; return how many users.

        With ``poll`` nobody needs a subscription. Where work waits already in a queue, no more is asked for.
        """
        now = self.clock()
        asked = await self._ask(now, poll)
        refused: list[str] = []
        if await self.presences.waits():
            await self.queues.publish("upkeep")
            refused = await self.presences.refused()
        await self._count(now, len(refused))
        return asked

    async def _ask(self, now: datetime, poll: bool) -> int:
        trouble = await self.health.trouble("exchange")
        if trouble is not None and trouble.retry_at > now - _LATE:
            # All work waits for Exchange: asking again and again would multiply it.
            return 0
        subscribe: list[str] = []
        read: list[str] = []
        async for user in self.users.neglected(silent_before=now - SILENCE, overdue_before=now - _LATE):
            if user.clearing and await self._finish_exclusion(user.user.guid):
                read.append(user.user.guid)
            if not user.is_active:
                continue
            if _needs_subscribing(user, now, poll) and _is_repeated(user.subscription_failure, now):
                subscribe.append(user.user.guid)
            elif user.mailbox_state is MailboxState.FOUND and _is_forgotten(user, now):
                read.append(user.user.guid)
        asked = 0
        for queue, guids, ask in (
            ("subscribe", subscribe, self.queues.subscribe),
            ("sync", read, self.queues.read),
        ):
            if guids and not await is_behind(queue, self.waiting, self.health):
                await ask(guids, "upkeep")
                asked += len(guids)
        return asked

    async def _finish_exclusion(self, guid: str) -> bool:
        """Clear a user whose exclusion was broken off; tell whether somebody let them in again meanwhile."""
        try:
            await self.farewell.keep_out(guid)
        except StateConflict:
            return False
        return not await self.farewell.find_left([guid])

    async def _count(self, now: datetime, refused: int) -> None:
        last = await self.health.census()
        if last is None or last.total <= _SOON_COUNTED or now - last.at >= _COUNTED_EVERY:
            census = await self.census.count(now, SILENCE)
            await self.health.set_census(replace(census, presences_refused=refused))


def _needs_subscribing(user: CalendarUser, now: datetime, poll: bool) -> bool:
    if user.mailbox_state is not MailboxState.FOUND:
        return user.mailbox_state is MailboxState.UNRESOLVED or _is_overdue(user.subscription_failure, now)
    sign = user.subscription.last_sign if user.subscription else None
    return not poll and (sign is None or sign < now - SILENCE)


def _is_forgotten(user: CalendarUser, now: datetime) -> bool:
    """Whether a reading that was asked for never began, or its repeat got lost."""
    asked = user.read_requested_at
    return (asked is not None and asked < now - _LATE) or _is_overdue(user.failure, now)


def _is_repeated(failure: Failure | None, now: datetime) -> bool:
    """Whether it is for the upkeep to try: there was no failure, or its retry got lost."""
    return failure is None or _is_overdue(failure, now)


def _is_overdue(failure: Failure | None, now: datetime) -> bool:
    """Whether the retry got lost. One that lies ahead, or waits for midnight, is the one."""
    return failure is not None and failure.retry_at is not None and failure.retry_at < now - _LATE
