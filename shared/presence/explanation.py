"""Why a presence is what it is, in sentences for the administrator.

Pure, like the rest: the agenda, the rules and the instant are given. A subject that colleagues would not read
in a note is not in the sentences either. Times are in the zone of the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model import Activity, Appointment, Sensitivity, ShowAs
from shared.presence.clock import to_utc
from shared.presence.languages import languages
from shared.presence.mapping import Omission, find_omission, is_exception
from shared.presence.note import write_until
from shared.presence.precedence import Rule
from shared.presence.rules import PresenceRules
from shared.presence.subject import clean, find_rank, is_hidden
from shared.presence.timeline import Rival, Segment, timeline

_ENGLISH = languages["en"]

ACTIVITY_NAMES = {
    Activity.AVAILABLE: "available",
    Activity.BUSY: "busy",
    Activity.AWAY: "away",
    Activity.DND: "do not disturb",
}

SHOW_AS_NAMES = {
    ShowAs.FREE: "Free",
    ShowAs.TENTATIVE: "Tentative",
    ShowAs.BUSY: "Busy",
    ShowAs.OUT_OF_OFFICE: "Out of office",
    ShowAs.WORKING_ELSEWHERE: "Working elsewhere",
    ShowAs.NO_DATA: "No data",
}

_RANKS = (
    "its title contains what a prioritized title must not contain",
    "its title contains nothing that is prioritized",
    "its title contains what is prioritized",
)


class Fate(StrEnum):
    """What becomes of an appointment in a segment of the time."""

    SHOWS = "shows"
    LOSES = "loses"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence; ``appointment`` is the id of the one it is about, empty where nobody shows."""

    text: str
    appointment: str = ""
    fate: Fate = Fate.SHOWS


@dataclass(frozen=True, slots=True)
class Episode:
    """A time (UTC, ``end`` exclusive, None for ever) in which the same shows: first what, then what loses."""

    start: datetime
    end: datetime | None
    activity: Activity
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every episode from an instant on, the last one nobody's, and the appointments that never show."""

    episodes: tuple[Episode, ...]
    omitted: tuple[Sentence, ...]


def explain(appointments: Iterable[Appointment], now: datetime, rules: PresenceRules) -> Explanation:
    """Explain an agenda from ``now`` (aware) on. Raises ValueError when ``now`` has no zone."""
    now = to_utc(now)
    agenda = tuple(appointments)
    omissions = ((appointment, find_omission(appointment, now, rules)) for appointment in agenda)
    return Explanation(
        tuple(_tell(segment, now, rules) for segment in timeline(agenda, now, rules)),
        tuple(
            Sentence(
                f"{_begin(name(appointment, now, rules))} does not count because "
                f"{_explain_omission(appointment, omission, now, rules)}.",
                appointment.id,
                Fate.OMITTED,
            )
            for appointment, omission in omissions
            if omission is not None
        ),
    )


def call(appointment: Appointment, rules: PresenceRules) -> str:
    """What an administrator may read of an appointment: its title in quotes, unless that is hidden."""
    if appointment.sensitivity is not Sensitivity.NORMAL:
        return "a private appointment"
    if is_hidden(appointment, rules):
        return "an appointment whose subject is not shown"
    title = clean(appointment.subject)
    return f"‘{title}’" if title else "an appointment without a subject"


def name(appointment: Appointment, now: datetime, rules: PresenceRules) -> str:
    """What an administrator may read of an appointment, and its time."""
    called = call(appointment, rules)
    if appointment.all_day:
        first = _write(appointment.start, now, rules, whole_day=True)
        return f"{called} (all day, {first} to {_write(appointment.end, now, rules, whole_day=True)})"
    return f"{called} ({_write(appointment.start, now, rules)} to {_write(appointment.end, now, rules)})"


def _tell(segment: Segment, now: datetime, rules: PresenceRules) -> Episode:
    begin = "Now shows" if segment.start == now else f"From {_write(segment.start, now, rules)} on shows"
    until = f"until {_write(segment.end, now, rules)}" if segment.end else "as far as the calendar was read"
    winner = segment.winner
    if winner is None:
        told = Sentence(f"{begin} free {until}, because no appointment counts then.")
        return Episode(segment.start, segment.end, segment.activity, (told,))
    others = {0: "nothing else counts then", 1: "the other one loses"}.get(
        len(segment.rivals), "the others lose"
    )
    told = Sentence(
        f"{begin} {name(winner, now, rules)} as {ACTIVITY_NAMES[segment.activity]} {until}, because "
        f"{_explain_mapping(winner, segment.activity, rules)} and {others}.",
        winner.id,
    )
    losers = (_tell_rival(rival, winner, segment.activity, now, rules) for rival in segment.rivals)
    return Episode(segment.start, segment.end, segment.activity, (told, *losers))


def _tell_rival(
    rival: Rival, winner: Appointment, activity: Activity, now: datetime, rules: PresenceRules
) -> Sentence:
    loser = rival.appointment
    match rival.rule:
        case Rule.RANK:
            why = f"{_RANKS[find_rank(loser, rules)]}, while of the one that shows "
            why += _RANKS[find_rank(winner, rules)]
        case Rule.OVER_AVAILABLE:
            why = f"it only says available, which never hides {ACTIVITY_NAMES[activity]}"
        case Rule.LATER_START:
            why = f"it begins earlier ({_write(loser.start, now, rules)}), and what begins last shows"
        case Rule.STRONGER_ACTIVITY:
            why = f"{ACTIVITY_NAMES[activity]} is stronger than {ACTIVITY_NAMES[rival.activity]}"
        case Rule.EARLIER_END:
            why = f"it ends later ({_write(loser.end, now, rules)}), and what ends first shows"
        case Rule.SMALLER_ID:
            why = "it is equal in everything that counts, and then the order of Exchange's ids decides"
    return Sentence(f"{_begin(name(loser, now, rules))} loses because {why}.", loser.id, Fate.LOSES)


def _explain_mapping(appointment: Appointment, activity: Activity | None, rules: PresenceRules) -> str:
    target = "ignore" if activity is None else ACTIVITY_NAMES[activity]
    if is_exception(appointment, rules):
        return f"Tentative of its organizer, who is a tentative exception, is mapped to {target}"
    return f"{SHOW_AS_NAMES[appointment.show_as]} is mapped to {target}"


def _explain_omission(
    appointment: Appointment, omission: Omission, now: datetime, rules: PresenceRules
) -> str:
    match omission:
        case Omission.CANCELLED:
            return "it is cancelled"
        case Omission.DECLINED:
            return "the user has declined it"
        case Omission.EMPTY:
            return "it ends when or before it begins"
        case Omission.FREE:
            return "it is marked as free"
        case Omission.IGNORED:
            return _explain_mapping(appointment, None, rules)
        case Omission.OVER:
            return f"it was over at {_write(appointment.end, now, rules)}"


def _write(instant: datetime, now: datetime, rules: PresenceRules, *, whole_day: bool = False) -> str:
    return write_until(instant, now, _ENGLISH, rules.zone, whole_day=whole_day)


def _begin(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]
