"""A sample day under rules that are being entered, as the pages and the API show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from shared.model import Appointment, Presence, Sensitivity, ShowAs
from shared.presence import compose
from shared.settings import PresenceSettings, parse_section


@dataclass(frozen=True, slots=True)
class Moment:
    """What a phone shows at one time of the sample day."""

    at: str
    event: str
    presence: Presence


_SAMPLE = (
    ("09:00", "10:30", "Project meeting", ShowAs.BUSY, Sensitivity.NORMAL),
    ("11:00", "12:00", "Budget review", ShowAs.TENTATIVE, Sensitivity.NORMAL),
    ("13:00", "14:00", "Dentist", ShowAs.OUT_OF_OFFICE, Sensitivity.PRIVATE),
    ("15:00", "17:00", "At the branch office", ShowAs.WORKING_ELSEWHERE, Sensitivity.NORMAL),
)
_NAMES = {
    ShowAs.BUSY: "busy",
    ShowAs.TENTATIVE: "tentative",
    ShowAs.OUT_OF_OFFICE: "out of office",
    ShowAs.WORKING_ELSEWHERE: "working elsewhere",
}


def try_rules(values: Mapping[str, Any], now: datetime) -> list[Moment]:
    """What phones show on the day of ``now``, at eight and at the beginning of each sample appointment.

    ``values`` are the section *presence* as it would be saved. Raises InvalidSettings.
    """
    section = parse_section("presence", values)
    assert isinstance(section, PresenceSettings)
    rules = section.rules
    today = now.astimezone(rules.zone).date()

    def at(clock: str) -> datetime:
        return datetime.combine(today, time.fromisoformat(clock), rules.zone)

    agenda = [
        Appointment(str(number), at(start), at(end), subject, show_as=show_as, sensitivity=sensitivity)
        for number, (start, end, subject, show_as, sensitivity) in enumerate(_SAMPLE)
    ]
    moments = [Moment("08:00", "nothing yet", compose(agenda, at("08:00"), rules))]
    for start, _, subject, show_as, sensitivity in _SAMPLE:
        kind = f"{_NAMES[show_as]}{', private' if sensitivity is Sensitivity.PRIVATE else ''}"
        presence = compose(agenda, at(start) + timedelta(minutes=5), rules)
        moments.append(Moment(f"{start[:3]}05", f"{subject} ({kind})", presence))
    return moments
