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
    agenda = [appointment for appointment in appointments if appointment.end > now]
    current = _find_winner(agenda, now, rules)
    until = _find_change(agenda, now, current, rules)
    following = None if until is None else _find_winner(agenda, until, rules)
    return write(current, until, following, now, rules)


def next_composition(presence: Presence, now: datetime, rules: PresenceRules) -> datetime | None:
    """Say when ``presence``, composed at ``now``, reads differently: then it must be composed again.

    That is ``changes_at``, or, where the note names the date and the time of a later day, the local
    midnight at which that day begins and the date is left out. None when it never changes.
    """
    until = presence.changes_at
    if until is None or WHOLE_DAY in presence.note.split():
        return until
    midnight = begin_day(until, rules.zone)
    return midnight if midnight > to_utc(now) else until


def _find_winner(agenda: Iterable[Appointment], instant: datetime, rules: PresenceRules) -> Candidate | None:
    winner = None
    for appointment in agenda:
        if (
            appointment.start <= instant < appointment.end
            and (candidate := enter(appointment, rules)) is not None
            and (winner is None or candidate.key < winner.key)
        ):
            winner = candidate
    return winner


def _find_change(
    agenda: Iterable[Appointment], now: datetime, current: Candidate | None, rules: PresenceRules
) -> datetime | None:
    """Find when the current one ends or, if that is earlier, a stronger one (nobody: any) starts."""
    until = None if current is None else current.appointment.end
    for appointment in agenda:
        if (
            appointment.start > now
            and (until is None or appointment.start < until)
            and (candidate := enter(appointment, rules)) is not None
            and (current is None or candidate.key < current.key)
        ):
            until = appointment.start
    return until
