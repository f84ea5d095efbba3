"""Every minute: presences that change by themselves, and whatever else is overdue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.model import User
from shared.presence import PresenceRules
from shared.pseudonym import pseudonym
from shared.sync.directory import is_overdue
from shared.sync.interfaces import Clock, DueTimes, Health, Users, WorkQueues
from shared.sync.presenting import Presenter

_log = logging.getLogger(__name__)

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Ticker:
    """Presents stored agendas anew when their moment has come, without asking Exchange."""

    users: Users
    due: DueTimes
    presenter: Presenter
    health: Health
    queues: WorkQueues
    clock: Clock

    async def tick(self, rules: PresenceRules) -> int:
        """Present everybody whose minute has come, missed minutes included; return how many."""
        handled = 0
        while page := await self.due.due(self.clock(), PAGE):
            known = await self.users.get_many({due.guid for due in page})
            waiting = await self._present([known.user for known in known.values() if known.is_active], rules)
            await self.due.done(page)
            handled += len(page)
            if waiting:
                await self.queues.publish("due", waiting)
        await self._start_overdue()
        return handled

    async def _present(self, users: Sequence[User], rules: PresenceRules) -> list[str]:
        """Present these users' agendas; the guids of those for whom something waits.

        One user's stored agenda must not stop the others': where they can't be presented together they are
        presented one by one, and who fails then is read anew, which mends it.
        """
        try:
            return await self.presenter.present_all(users, rules)
        except Exception as error:
            if len(users) == 1:
                guid = users[0].guid
                _log.error("user failed", extra={"user": pseudonym(guid)}, exc_info=error)
                await self.queues.read([guid], "due")
                return []
        return [guid for user in users for guid in await self._present([user], rules)]

    async def _start_overdue(self) -> None:
        if await is_overdue(self.health, self.clock):
            await self.queues.replicate("overdue")
        trouble = await self.health.trouble("pbx")
        if trouble is not None and trouble.retry_at <= self.clock():
            await self.queues.publish("retry")
