"""Exchange reports a change: have the calendar read, and say whether the subscription is still wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import StateConflict
from shared.ews.notifications import Notification
from shared.model import CalendarUser
from shared.pseudonym import pseudonym
from shared.sync.interfaces import Clock, Users, WorkQueues

_log = logging.getLogger(__name__)

COALESCE = timedelta(seconds=1)
"""A reading waits so long for the other notifications of the same action."""

_FORGOTTEN = timedelta(minutes=2)
"""After which a reading that was asked for and never began is asked for again."""

_SUBSCRIBING = timedelta(minutes=2)
"""How long Exchange's answer to Subscribe may be under way while its first notification is here."""

_SIGN_EVERY = timedelta(minutes=10)
"""A sign of life is stored no more often than that; silence is noticed after an hour."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes notifications. Touches neither Exchange nor the PBX."""

    users: Users
    queues: WorkQueues
    clock: Clock

    async def receive(self, guid: str, notifications: Iterable[Notification]) -> bool:
        """Take the messages that came under a user's address; tell whether the subscription is to go on.

        One that isn't the user's present subscription is ended.
        """
        user = await self.users.get(guid)
        if user is None or not user.is_active:
            return False
        now = self.clock()
        keep = True
        changed = alive = False
        try:
            for notification in notifications:
                if not _is_current(user, notification, now):
                    keep = False
                elif notification.error is not None:
                    _log.warning(
                        "subscription ended", extra={"user": pseudonym(guid), "code": notification.error}
                    )
                    if _is_stored(user, notification):
                        await self.users.set_subscription(guid, None)
                        await self.queues.subscribe([guid], "subscription ended")
                    keep = False
                else:
                    changed = changed or any(event != "StatusEvent" for event in notification.events)
                    # Not of the one that is just being granted: the stored one may be silent all the same.
                    alive = alive or _is_stored(user, notification)
            if changed:
                await self._request_reading(user, now)
            if alive and user.subscription and now - user.subscription.last_sign >= _SIGN_EVERY:
                await self.users.set_last_sign(guid, now)
        except StateConflict:
            return False
        return keep

    async def _request_reading(self, user: CalendarUser, now: datetime) -> None:
        asked = user.read_requested_at
        if asked is not None and now - asked < _FORGOTTEN:
            return
        # The message first: a mark without one would keep the next notification from asking.
        await self.queues.read([user.user.guid], "changed", COALESCE)
        await self.users.set_read_requested(user.user.guid, now)


def _is_current(user: CalendarUser, notification: Notification, now: datetime) -> bool:
    since = user.subscribing_since
    return _is_stored(user, notification) or (since is not None and now - since < _SUBSCRIBING)


def _is_stored(user: CalendarUser, notification: Notification) -> bool:
    return user.subscription is not None and user.subscription.id == notification.subscription_id
