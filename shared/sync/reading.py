"""Read users' calendars and present them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.errors import StateConflict
from shared.model import Agenda, Appointment, CalendarUser, MailboxState, ShowAs
from shared.presence import PresenceRules, redact
from shared.sync.interfaces import (
    ROUNDS,
    Agendas,
    CalendarSource,
    Clock,
    Health,
    Reading,
    Users,
    WorkQueues,
)
from shared.sync.presenting import Presenter
from shared.sync.throttling import Rest, Throttle

WINDOW = timedelta(hours=48)
"""How far ahead a calendar is read."""

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Readings:
    """How many calendars were read, and what became of the other users."""

    calendars: int
    rest: Rest


@dataclass(frozen=True, slots=True)
class Reader[R: Reading]:
    """Reads mailboxes through the calendar source: one request each."""

    source: CalendarSource[R]
    users: Users
    agendas: Agendas
    presenter: Presenter
    throttle: Throttle
    queues: WorkQueues
    health: Health
    clock: Clock

    async def read(self, guids: Sequence[str], reason: str, rules: PresenceRules) -> Readings:
        """Read these users' next 48 hours; have the PBX told if anything changed.

        Users who can't be read now are asked for again, later.
        """
        waiting: list[str] = []
        calendars = 0

        async def read_one(user: CalendarUser) -> None:
            nonlocal calendars
            if await self._read_one(user, rules):
                waiting.append(user.user.guid)
            calendars += user.mailbox_state is MailboxState.FOUND

        rest = await self.throttle.each(guids, read_one)
        if waiting:
            await self.queues.publish(reason, waiting)
        for delay, users in rest.users.items():
            await self.queues.read(users, reason, delay)
        if reason in ROUNDS and calendars:
            await self.health.set_last_read(reason, self.clock())
        return Readings(calendars, rest)

    async def _read_one(self, user: CalendarUser, rules: PresenceRules) -> bool:
        guid = user.user.guid
        if user.mailbox_state is not MailboxState.FOUND:
            return False
        if user.read_requested_at is not None:
            # Before the reading: a change that comes during it must ask for another one.
            await self.users.set_read_requested(guid, None)
        for _ in range(_ATTEMPTS):
            before = await self.agendas.get(guid)
            agenda = await self._fetch(user, before, rules)
            try:
                return await self.presenter.present_new(user.user, agenda, rules)
            except StateConflict:
                again = await self.users.get(guid)
                if again is None or not again.is_active or again.mailbox_state is not MailboxState.FOUND:
                    return False
                user = again
        raise StateConflict("Too many readers of one calendar.")

    async def _fetch(self, user: CalendarUser, before: Agenda | None, rules: PresenceRules) -> Agenda:
        now = self.clock()
        reading = await self.source.read(user.mailbox, now, now + WINDOW)
        known = {a.id: a.organizer for a in before.appointments if a.organizer} if before else {}
        wanted = [key for key in _without_organizer(reading, rules) if key not in known]
        if wanted:
            reading = await self.source.add_organizers(user.mailbox, reading, wanted)
        return Agenda(
            tuple(redact(_with_organizer(a, known), rules) for a in reading.appointments),
            read_at=now,
            window_end=now + WINDOW,
            version=before.version if before else 0,
            due_at=before.due_at if before else None,
            etag=before.etag if before else "",
        )


def _with_organizer(appointment: Appointment, known: Mapping[str, str]) -> Appointment:
    """An appointment never changes its organizer: the one of the former reading is right."""
    if appointment.organizer or appointment.id not in known:
        return appointment
    return replace(appointment, organizer=known[appointment.id])


def _without_organizer(reading: Reading, rules: PresenceRules) -> list[str]:
    """The appointments whose mapping depends on an organizer's address that the reading lacks."""
    if not rules.tentative_exception_organizers:
        return []
    return [
        appointment.id
        for appointment in reading.appointments
        if appointment.show_as is ShowAs.TENTATIVE and not appointment.organizer
    ]
