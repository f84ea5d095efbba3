"""One user as their page and the API show them: from what is stored to notes, reasons and a picture. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.admin.pictures.timeline import IGNORED, Bar, Shown, draw_timeline
from shared.model import Agenda, Appointment, Presence
from shared.presence import (
    Explanation,
    PresenceRules,
    Segment,
    compose_each,
    explain,
    timeline,
    view,
)
from shared.presence.explanation import ACTIVITY_NAMES, call, name
from shared.presence.mapping import find_activity

SPAN = timedelta(hours=48)
"""What the picture shows, from the full hour before."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever looks at a note: the code of a language, and an IANA name."""

    language: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Told:
    """A presence, the instant (UTC) from which it holds, and the sentence that a viewer reads then."""

    at: datetime
    presence: Presence
    sentence: str


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a user's calendar makes of their presence; ``told`` begins with the one that holds now.

    ``bars`` are the appointments, with what an administrator may read of them, as the picture has them.
    """

    told: tuple[Told, ...]
    explanation: Explanation
    bars: tuple[Bar, ...]
    picture: str


def portray(agenda: Agenda, now: datetime, rules: PresenceRules, viewer: Viewer, who: str) -> Portrait:
    """Portray a stored agenda at an instant (UTC). ``who`` stands in the picture's title.

    Raises FieldError for a viewer whose language or time zone doesn't exist.
    """
    segments = timeline(agenda.appointments, now, rules)
    bars = tuple(_find_bars(agenda.appointments, segments, now, rules))
    told = tuple(
        Told(at, presence, view(presence.note, at, viewer.language, viewer.timezone))
        for at, presence in compose_each(segments, rules)
    )
    explanation = explain(agenda.appointments, now, rules)
    return Portrait(told, explanation, bars, _draw(bars, segments, now, rules, who))


def _find_bars(
    appointments: Iterable[Appointment], segments: Iterable[Segment], now: datetime, rules: PresenceRules
) -> Iterator[Bar]:
    wins: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for segment in segments:
        # The last segment, which has no end, is nobody's.
        if segment.winner is not None and segment.end is not None:
            wins[segment.winner.id].append((segment.start, segment.end))
    for appointment in appointments:
        yield Bar(
            activity.value if (activity := find_activity(appointment, rules)) else IGNORED,
            appointment.start,
            max(appointment.end, appointment.start),
            _title(appointment, rules),
            tuple(wins[appointment.id]),
            name(appointment, now, rules),
        )


def _draw(
    bars: Iterable[Bar], segments: Iterable[Segment], now: datetime, rules: PresenceRules, who: str
) -> str:
    start = now.replace(minute=0, second=0, microsecond=0)
    end = start + SPAN
    shown = []
    for segment in segments:
        until = segment.end or end
        title = "Free"
        if segment.winner is not None:
            title = f"{ACTIVITY_NAMES[segment.activity].capitalize()}: {_title(segment.winner, rules)}"
        if segment.start < until:
            shown.append(Shown(segment.activity.value, segment.start, until, title))
    title = f"The next {SPAN // timedelta(hours=1)} hours of {who}"
    return draw_timeline(bars, shown, start, end, now, rules.zone, title=title)


def _title(appointment: Appointment, rules: PresenceRules) -> str:
    return call(appointment, rules).strip("‘’")
