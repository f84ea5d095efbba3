"""From an agenda to the outbox: compose the presence, note when it changes, want it on the PBX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.model import Agenda, Presence, User
from shared.presence import PresenceRules, compose, next_composition
from shared.sync.interfaces import Agendas, Clock, DueTimes, Presences, Wish
from shared.sync.leaving import Farewell

_MINUTE = timedelta(minutes=1)
_SKEW = timedelta(seconds=5)
"""By how much the clocks of two instances may differ."""


@dataclass(frozen=True, slots=True)
class Presenter:
    """Turns agendas into presences that wait for the PBX."""

    agendas: Agendas
    due: DueTimes
    presences: Presences
    farewell: Farewell
    clock: Clock

    async def present_new(self, user: User, agenda: Agenda, rules: PresenceRules) -> bool:
        """Store an agenda that was just read and present it; tell whether something waits for the PBX.

        Raises:
            StateConflict: somebody else stored an agenda meanwhile; read again.
        """
        now = self.clock()
        presence = compose(agenda.appointments, now, rules)
        due_at = next_composition(presence, now, rules)
        # The hint first: without it a killed run would leave a presence that never changes.
        if due_at is not None and due_at != agenda.due_at:
            await self.due.schedule(user.guid, due_at)
        agenda = replace(agenda, version=agenda.version + 1, due_at=due_at)
        await self.agendas.save(user.guid, agenda)
        return await self._put(user, agenda, presence, now, due_at, rules)

    async def present_again(self, user: User, rules: PresenceRules) -> bool:
        """Present the stored agenda as of now; tell whether something waits for the PBX."""
        agenda = await self.agendas.get(user.guid)
        if agenda is None:
            return False
        now = self.clock()
        presence = compose(agenda.appointments, now, rules)
        due_at = next_composition(presence, now, rules)
        if due_at is not None:
            await self.due.schedule(user.guid, due_at)
        return await self._put(user, agenda, presence, now, due_at, rules)

    async def present_all(self, users: Sequence[User], rules: PresenceRules) -> list[str]:
        """Present the stored agendas of many users as of now; the guids of those for whom something waits."""
        agendas = await self.agendas.get_many([user.guid for user in users])
        now = self.clock()
        moments: list[tuple[str, datetime]] = []
        wishes: list[Wish] = []
        for user in users:
            if (agenda := agendas.get(user.guid)) is None:
                continue
            presence = compose(agenda.appointments, now, rules)
            due_at = next_composition(presence, now, rules)
            if due_at is not None:
                moments.append((user.guid, due_at))
            wishes.append(Wish(user.guid, user.sip, _order(agenda, now), presence))
        await self.due.schedule_all(moments)
        waiting = await self.presences.put_all(wishes)
        came = {guid for guid, due_at in moments if due_at <= self.clock()}
        for user in users:
            if user.guid in came and await self.present_again(user, rules):
                waiting.add(user.guid)
        for guid in await self.farewell.find_left(waiting):
            # Who left meanwhile was cleared before this was stored.
            if not await self.farewell.clear(guid):
                waiting.remove(guid)
        return sorted(waiting)

    async def _put(
        self,
        user: User,
        agenda: Agenda,
        presence: Presence,
        now: datetime,
        due_at: datetime | None,
        rules: PresenceRules,
    ) -> bool:
        waits = await self.presences.put(user.guid, user.sip, _order(agenda, now), presence)
        if due_at is not None and due_at <= self.clock():
            # The moment came meanwhile, and its tick may have seen the former agenda.
            return await self.present_again(user, rules) or waits
        if due_at is not None and due_at <= self.clock() + _SKEW:
            # The same by another instance's clock: whatever its tick did, the next one looks again.
            await self.due.schedule(user.guid, due_at + _MINUTE)
        if (waits or agenda.version == 1) and await self.farewell.find_left([user.guid]):
            # Who left meanwhile was cleared before this was stored.
            return await self.farewell.clear(user.guid)
        return waits


def _order(agenda: Agenda, now: datetime) -> str:
    """Presences of a newer agenda come later, then those of a later instant."""
    return f"{agenda.version:012d} {now.isoformat(timespec='microseconds')}"
