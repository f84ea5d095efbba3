"""Every minute: presences that change by themselves, and whatever else is overdue."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from shared.presence import PresenceRules
from shared.sync.directory import is_overdue
from shared.sync.interfaces import Clock, Due, DueTimes, Health, Users, WorkQueues
from shared.sync.presenting import Presenter

_log = logging.getLogger(__name__)

PAGE = 1000
_SIDE_BY_SIDE = 32


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
        window = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def present(due: Due) -> bool:
            async with window:
                user = await self.users.get(due.guid)
                if user is None or not user.is_active:
                    return False
                try:
                    return await self.presenter.present_again(user.user, rules)
                except Exception as error:
                    # One user's stored agenda must not stop the others'; a fresh one mends it.
                    _log.error("user failed", extra={"user": due.guid}, exc_info=error)
                    await self.queues.read([due.guid], "due")
                    return False

        while page := await self.due.due(self.clock(), PAGE):
            waits = await asyncio.gather(*(present(due) for due in page))
            await self.due.done(page)
            handled += len(page)
            if any(waits):
                waiting = [due.guid for due, waits_now in zip(page, waits, strict=True) if waits_now]
                await self.queues.publish("due", waiting)
        await self._start_overdue()
        return handled

    async def _start_overdue(self) -> None:
        if await is_overdue(self.health, self.clock):
            await self.queues.replicate("overdue")
        trouble = await self.health.trouble("pbx")
        if trouble is not None and trouble.retry_at <= self.clock():
            await self.queues.publish("retry")
