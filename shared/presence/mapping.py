"""Which appointments count, and as what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from shared.model import Activity, Appointment, Response, ShowAs
from shared.presence.rules import PresenceRules


class Omission(StrEnum):
    """Why an appointment never shows."""

    CANCELLED = "cancelled"
    DECLINED = "declined"
    EMPTY = "empty"
    """It ends when or before it starts."""
    FREE = "free"
    IGNORED = "ignored"
    """The mapping ignores its show-as."""
    OVER = "over"


def find_activity(appointment: Appointment, rules: PresenceRules) -> Activity | None:
    """Map an appointment to the activity it stands for, or None when it never shows at any time."""
    if (
        appointment.cancelled
        or appointment.response is Response.DECLINE
        or appointment.end <= appointment.start
    ):
        return None
    if is_exception(appointment, rules):
        return rules.mapping.tentative_exception
    return rules.activities[appointment.show_as]


def is_exception(appointment: Appointment, rules: PresenceRules) -> bool:
    """Tell whether a tentative appointment's organizer gives it the exceptional mapping."""
    return (
        bool(rules.exceptions)
        and appointment.show_as is ShowAs.TENTATIVE
        and appointment.organizer.strip().casefold() in rules.exceptions
    )


def find_omission(appointment: Appointment, now: datetime, rules: PresenceRules) -> Omission | None:
    """Say why an appointment doesn't show at ``now`` (aware) or later; None when it can."""
    if appointment.cancelled:
        return Omission.CANCELLED
    if appointment.response is Response.DECLINE:
        return Omission.DECLINED
    if appointment.end <= appointment.start:
        return Omission.EMPTY
    if appointment.show_as is ShowAs.FREE:
        return Omission.FREE
    if find_activity(appointment, rules) is None:
        return Omission.IGNORED
    if appointment.end <= now:
        return Omission.OVER
    return None
