"""Find users' mailboxes, subscribe to their changes, and have them read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.model import CalendarUser, MailboxState, Subscription
from shared.sync.interfaces import CalendarSource, Callbacks, Clock, Reading, Users, WorkQueues
from shared.sync.leaving import Farewell
from shared.sync.throttling import Rest, Throttle

STATUS_FREQUENCY = timedelta(minutes=30)
"""How often Exchange gives a sign of life while nothing changes."""

SILENCE = 2 * STATUS_FREQUENCY + timedelta(minutes=10)
"""After which a subscription is taken for dead: twice the frequency, and how seldom a sign is stored."""


def is_resolved(user: CalendarUser) -> bool:
    """Whether the mailbox is known, and no lasting failure hints that it has another address by now."""
    failures = (user.failure, user.subscription_failure)
    lasting = any(failure is not None and failure.retry_at is None for failure in failures)
    return user.mailbox_state is MailboxState.FOUND and not lasting


@dataclass(frozen=True, slots=True)
class Subscribed:
    """How many subscriptions Exchange granted, and what became of the other users."""

    subscriptions: int
    rest: Rest


@dataclass(frozen=True, slots=True)
class Subscriber[R: Reading]:
    """Asks Exchange to report the changes of calendars."""

    source: CalendarSource[R]
    users: Users
    callbacks: Callbacks
    farewell: Farewell
    throttle: Throttle
    queues: WorkQueues
    clock: Clock

    async def subscribe(self, guids: Sequence[str], reason: str, *, poll: bool = False) -> Subscribed:
        """Make sure of these users' mailboxes and subscriptions, and have each read afterwards.

        What happened before a subscription began is not reported: hence the reading. With ``poll`` there are
        no subscriptions, only mailboxes.
        """
        found: list[str] = []
        cleared: list[str] = []
        subscriptions = 0

        async def subscribe_one(user: CalendarUser) -> None:
            nonlocal subscriptions
            guid = user.user.guid
            now = self.clock()
            lives = user.subscription is not None and now - user.subscription.last_sign < SILENCE
            resolved = is_resolved(user)
            if lives and resolved:
                if user.read_requested_at is not None:
                    # Of a run, perhaps, that was killed before it asked for the reading.
                    found.append(guid)
                return
            mailbox = user.mailbox if resolved else await self._find_mailbox(user)
            if not mailbox:
                # What was read from a former mailbox must not go on showing, nor why it failed.
                if user.failure is not None:
                    await self.users.set_failure(guid, None)
                if await self.farewell.clear(guid):
                    cleared.append(guid)
                return
            # Also where the subscription is refused, the calendar can be read.
            found.append(guid)
            if poll and mailbox != user.mailbox:
                await self.users.set_mailbox(guid, MailboxState.FOUND, mailbox)
            if poll or (lives and mailbox == user.mailbox):
                return
            await self.users.begin_subscribing(guid, mailbox, self.clock())
            identity = await self.source.subscribe(mailbox, self.callbacks.address_of(guid))
            # Where the run is killed before it asks for the reading, this mark has the upkeep do it.
            await self.users.set_read_requested(guid, self.clock())
            await self.users.set_subscription(guid, Subscription(identity, now, now))
            subscriptions += 1

        rest = await self.throttle.each(guids, subscribe_one, subscribing=True)
        await self.queues.read(found, reason)
        if cleared:
            await self.queues.publish(reason, cleared)
        for delay, users in rest.users.items():
            await self.queues.subscribe(users, reason, delay)
        return Subscribed(subscriptions, rest)

    async def _find_mailbox(self, user: CalendarUser) -> str:
        for candidate in user.candidates:
            mailbox = await self.source.find_mailbox(candidate)
            if mailbox is not None:
                return mailbox
        await self.users.set_mailbox(user.user.guid, MailboxState.NONE)
        return ""
