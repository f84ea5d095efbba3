"""What an administrator does to one user, or to all."""

from __future__ import annotations

from dataclasses import dataclass

from shared.sync.changes import Effect
from shared.sync.configuring import Application
from shared.sync.interfaces import Users, WorkQueues
from shared.sync.leaving import Farewell
from shared.sync.subscribing import is_resolved


@dataclass(frozen=True, slots=True)
class Actions:
    """Each may be repeated. Changing a user who is gone raises StateConflict."""

    users: Users
    farewell: Farewell
    application: Application
    queues: WorkQueues

    async def read_again(self, guid: str) -> bool:
        """Have a user's calendar read now; tell whether there is such a user who is synchronised."""
        user = await self.users.get(guid)
        if user is None or not user.is_active:
            return False
        await (self.queues.read if is_resolved(user) else self.queues.subscribe)([guid], "on demand")
        return True

    async def read_everybody(self) -> None:
        """Have all calendars read. How far that has come is stored, so that it is done to the end."""
        await self.application.ask([Effect.READ], "on demand")

    async def exclude(self, guid: str, excluded: bool) -> None:
        """Keep a user out, which clears the presence and forgets the calendar, or let them in again.

        Raises:
            StateConflict: there is no such user.
        """
        if not excluded:
            await self.users.include(guid)
            await self.queues.subscribe([guid], "included")
            return
        await self.users.exclude(guid)
        if await self.farewell.keep_out(guid):
            await self.queues.publish("excluded", [guid])

    async def clear(self, guid: str) -> bool:
        """Clear a user's calendar presence; tell whether something waits for the PBX.

        The stored agenda is forgotten, so that the presence stays cleared until the calendar is read the
        next time: when Exchange reports a change, at midnight, or on demand.
        """
        waits = await self.farewell.clear(guid)
        if waits:
            await self.queues.publish("cleared", [guid])
        return waits
