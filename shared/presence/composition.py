"""From an agenda to the presence now, and when it must be composed again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.model import Appointment, Presence
from shared.presence.clock import begin_day, to_utc
from shared.presence.note import WHOLE_DAY, write
from shared.presence.precedence import Candidate, enter
from shared.presence.rules import PresenceRules


def compose(appointments: Iterable[Appointment], now: datetime, rules: PresenceRules) -> Presence:
    """Compose the presence at ``now`` (aware) from an agenda in any order.

    ``changes_at`` of the result is the first instant after ``now`` at which another appointment shows, or
    none; None when nothing lies ahead. Raises ValueError when ``now`` has no zone.
    """
    now = to_utc(now)
    current: Candidate | None = None
    ahead: list[Candidate] = []
    for appointment in appointments:
        if appointment.end <= now or (candidate := enter(appointment, rules)) is None:
            continue
        if appointment.start > now:
            ahead.append(candidate)
        elif current is None:
            current = candidate
        elif candidate.key < current.key:
            ahead.append(current)
            current = candidate
        else:
            ahead.append(candidate)
    until = _find_change(current, ahead)
    return write(current, until, _find_next(ahead, until), now, rules)


def next_composition(presence: Presence, now: datetime, rules: PresenceRules) -> datetime | None:
    """Say when ``presence``, composed at ``now``, reads differently: then it must be composed again.

    That is ``changes_at``, or, where the note names the date and the time of a later day, the local
    midnight at which that day begins and the date is left out. None when it never changes.
    """
    until = presence.changes_at
    if until is None or WHOLE_DAY in presence.note.split(" "):
        return until
    midnight = begin_day(until, rules.zone)
    return midnight if midnight > to_utc(now) else until


def _find_change(current: Candidate | None, ahead: list[Candidate]) -> datetime | None:
    if current is None:
        return min((candidate.appointment.start for candidate in ahead), default=None)
    until = current.appointment.end
    for candidate in ahead:
        # Whoever is stronger than the current one has yet to start: otherwise it would show now.
        if candidate.key < current.key and candidate.appointment.start < until:
            until = candidate.appointment.start
    return until


def _find_next(ahead: list[Candidate], until: datetime | None) -> Candidate | None:
    if until is None:
        return None
    return min(
        (
            candidate
            for candidate in ahead
            if candidate.appointment.start <= until < candidate.appointment.end
        ),
        default=None,
        key=lambda candidate: candidate.key,
    )
