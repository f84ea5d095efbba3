"""Which of several appointments shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.model import Activity, Appointment
from shared.presence.mapping import find_activity
from shared.presence.rules import PresenceRules
from shared.presence.subject import find_rank

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_STRENGTH = {Activity.AVAILABLE: 0, Activity.BUSY: 1, Activity.AWAY: 2, Activity.DND: 3}

type Key = tuple[int, bool, timedelta, int, datetime, str]


class Rule(StrEnum):
    """What decided that an appointment shows, in the order in which the rules are asked."""

    RANK = "rank"
    OVER_AVAILABLE = "over_available"
    LATER_START = "later_start"
    STRONGER_ACTIVITY = "stronger_activity"
    EARLIER_END = "earlier_end"
    SMALLER_ID = "smaller_id"


class Candidate(NamedTuple):
    """An appointment that counts. Of two that overlap the one with the smaller ``key`` shows."""

    key: Key
    appointment: Appointment
    activity: Activity


def enter(appointment: Appointment, rules: PresenceRules) -> Candidate | None:
    """Make a candidate of an appointment; None when it never shows."""
    activity = find_activity(appointment, rules)
    if activity is None:
        return None
    strength = _STRENGTH[activity]
    key = (
        -find_rank(appointment, rules),
        not strength,
        _END_OF_TIME - appointment.start,
        -strength,
        appointment.end,
        appointment.id,
    )
    return Candidate(key, appointment, activity)


def compare(winner: Candidate, loser: Candidate) -> Rule:
    """Name the rule by which one candidate shows and the other doesn't."""
    for rule, ours, theirs in zip(Rule, winner.key, loser.key, strict=True):
        if ours != theirs:
            return rule
    return Rule.SMALLER_ID
