"""Appointments and series as a mailbox stores them, and their occurrences.

A series keeps its time of day in its creator's zone: its occurrences move in UTC when the clocks change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from dev.exchange.recurrence import Recurrence, read_recurrence, write_recurrence

SHOW_AS = {
    "free": "Free",
    "tentative": "Tentative",
    "busy": "Busy",
    "out_of_office": "OOF",
    "working_elsewhere": "WorkingElsewhere",
    "no_data": "NoData",
}
SENSITIVITY = {
    "normal": "Normal",
    "personal": "Personal",
    "private": "Private",
    "confidential": "Confidential",
}
RESPONSE = {
    "unknown": "Unknown",
    "organizer": "Organizer",
    "tentative": "Tentative",
    "accept": "Accept",
    "decline": "Decline",
    "no_response": "NoResponseReceived",
}
OMITTABLE = frozenset({"subject", "organizer", "uid", "start", "end"})


@cache
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone, read once. Raises ValueError for an unknown name."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"zone: {name!r} is no IANA time zone") from error


@dataclass(frozen=True, slots=True)
class Appointment:
    """A single appointment, or a series with its first occurrence's times.

    ``number`` names it within its mailbox. Instants are UTC, ``end`` is exclusive, ``zone`` is its creator's.
    ``organizer`` is an SMTP address or empty. ``exceptions`` has, for a day of the series in its zone, None
    where that occurrence was deleted, or the appointment that stands in its place.
    ``omit`` names properties that Exchange shall not return, as happens in the field.
    """

    number: int
    uid: str
    start: datetime
    end: datetime
    zone: str
    subject: str = ""
    all_day: bool = False
    show_as: str = "busy"
    sensitivity: str = "normal"
    organizer: str = ""
    organizer_name: str = ""
    cancelled: bool = False
    response: str = "organizer"
    repeat: Recurrence | None = None
    exceptions: Mapping[date, Appointment | None] = field(default_factory=lambda: MappingProxyType({}))
    omit: frozenset[str] = frozenset()
    revision: int = 1

    def occurrences(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """Those that overlap the window, whose start is inclusive and whose end is exclusive."""
        if self.repeat is None:
            if overlaps(self.start, self.end, start, end):
                yield Occurrence(str(self.number), "Single", self, self.start, self.end)
            return
        zone = zone_named(self.zone)
        first = self.start.astimezone(zone)
        # A series stores its end as a time of day too (MS-OXOCAL, EndTimeOffset): it keeps on the wall clock.
        wall_length = self.end.astimezone(zone).replace(tzinfo=None) - first.replace(tzinfo=None)
        earliest = (start - wall_length - timedelta(days=1)).astimezone(zone).date()
        for day in self.repeat.days(earliest, end.astimezone(zone).date()):
            if day in self.exceptions:
                continue
            wall = datetime.combine(day, first.time())
            begins, ends = at_wall_time(wall, zone), at_wall_time(wall + wall_length, zone)
            if overlaps(begins, ends, start, end):
                yield Occurrence(f"{self.number}@{day}", "Occurrence", self, begins, ends)
        for day, changed in self.exceptions.items():
            if changed and overlaps(changed.start, changed.end, start, end):
                yield Occurrence(f"{self.number}@{day}", "Exception", changed, changed.start, changed.end)

    def occurrence_on(self, day: date) -> Occurrence:
        """The occurrence whose original day in the series' zone is ``day``. Raises KeyError where none is."""
        if self.repeat is None or day not in self.repeat.days(day, day):
            raise KeyError(f"{self.number}@{day}")
        if day in self.exceptions:
            changed = self.exceptions[day]
            if changed is None:
                raise KeyError(f"{self.number}@{day}")
            return Occurrence(f"{self.number}@{day}", "Exception", changed, changed.start, changed.end)
        zone = zone_named(self.zone)
        noon = at_wall_time(datetime.combine(day, time(12)), zone)
        reference = f"{self.number}@{day}"
        around = self.occurrences(noon - timedelta(days=1), noon + timedelta(days=1))
        return next(occurrence for occurrence in around if occurrence.reference == reference)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One entry of a calendar view. ``reference`` is the appointment's number, in a series with ``@DAY``.

    ``kind`` is EWS's CalendarItemType: Single, Occurrence or Exception.
    """

    reference: str
    kind: str
    appointment: Appointment
    start: datetime
    end: datetime


def overlaps(begins: datetime, ends: datetime, start: datetime, end: datetime) -> bool:
    """Whether something that begins and ends so belongs to the window; no length counts where it begins."""
    return begins < end and (ends > start or begins == ends == start)


def at_wall_time(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the clocks of ``zone`` show ``wall`` (for the first time)."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


def shift_on_the_wall(instant: datetime, span: timedelta, zone: ZoneInfo) -> datetime:
    """The UTC instant ``span`` later by the clocks of ``zone``: from midnight a day later is midnight."""
    return at_wall_time(instant.astimezone(zone).replace(tzinfo=None) + span, zone)


def read_instant(text: str, zone: str) -> datetime:
    """An ISO date or date and time in UTC; without an offset it is meant in ``zone``. Raises ValueError."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is no ISO date and time") from error
    return instant.astimezone(UTC) if instant.tzinfo else at_wall_time(instant, zone_named(zone))


def write_instant(instant: datetime) -> str:
    """As EWS writes it: UTC, whole seconds, Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_WORDS: dict[str, dict[str, str]] = {"show_as": SHOW_AS, "sensitivity": SENSITIVITY, "response": RESPONSE}
_PLAIN = ("subject", "organizer", "organizer_name", "cancelled", "uid")
_SPECIAL = ("start", "end", "all_day", "repeat", "exceptions", "zone", "omit")


def change_appointment(old: Appointment, data: Mapping[str, Any]) -> Appointment:
    """The appointment with what the JSON names replaced; a new start alone keeps the length.

    Raises ValueError with a sentence about what is wrong.
    """
    if unknown := data.keys() - {*_WORDS, *_PLAIN, *_SPECIAL}:
        raise ValueError(f"appointment: unknown {', '.join(sorted(unknown))}")
    new: dict[str, Any] = {name: data[name] for name in _PLAIN if name in data}
    for name, words in _WORDS.items():
        if name in data:
            if data[name] not in words:
                raise ValueError(f"{name}: {data[name]!r} is none of {', '.join(words)}")
            new[name] = data[name]
    if "omit" in data:
        new["omit"] = frozenset(data["omit"])
        if wrong := new["omit"] - OMITTABLE:
            raise ValueError(f"omit: {', '.join(sorted(wrong))} is not of {', '.join(sorted(OMITTABLE))}")
    zone = data.get("zone", old.zone)
    all_day = data.get("all_day", old.all_day)
    start = read_instant(data["start"], zone) if "start" in data else old.start
    if "end" in data:
        end = read_instant(data["end"], zone)
    elif all_day:
        clocks = zone_named(zone)
        length = old.end.astimezone(clocks).date() - old.start.astimezone(clocks).date()
        end = shift_on_the_wall(start, length, clocks)
    else:
        end = start + (old.end - old.start)
    if all_day:
        start, end = _whole_days(start, end, zone_named(zone))
    if end < start:
        raise ValueError(f"end: {write_instant(end)} is before the start {write_instant(start)}")
    changed = replace(old, zone=zone, all_day=all_day, start=start, end=end, revision=old.revision + 1, **new)
    if data.get("repeat"):
        first = start.astimezone(zone_named(zone)).date()
        changed = replace(changed, repeat=read_recurrence(data["repeat"], first))
    if "exceptions" in data:
        changed = replace(changed, exceptions=_read_exceptions(changed, data["exceptions"]))
    return changed


def read_appointment(data: Mapping[str, Any], number: int, uid: str, zone: str) -> Appointment:
    """An appointment from JSON; only ``start`` is required, ``end`` defaults to half an hour later.

    ``zone`` is the mailbox's; times without an offset are meant in it. Raises ValueError.
    """
    if "start" not in data:
        raise ValueError("start: is required")
    zone = data.get("zone", zone)
    start = read_instant(data["start"], zone)
    length = timedelta(minutes=30)
    response = "accept" if data.get("organizer") or data.get("organizer_name") else "organizer"
    blank = Appointment(number, uid, start, start + length, zone, response=response, revision=0)
    return change_appointment(blank, data)


def write_appointment(appointment: Appointment) -> dict[str, Any]:
    """The JSON that read_appointment reads."""
    data: dict[str, Any] = {
        "subject": appointment.subject,
        "start": write_instant(appointment.start),
        "end": write_instant(appointment.end),
        "zone": appointment.zone,
        "all_day": appointment.all_day,
        "show_as": appointment.show_as,
        "sensitivity": appointment.sensitivity,
        "organizer": appointment.organizer,
        "organizer_name": appointment.organizer_name,
        "cancelled": appointment.cancelled,
        "response": appointment.response,
        "uid": appointment.uid,
    }
    if appointment.omit:
        data["omit"] = sorted(appointment.omit)
    if appointment.repeat:
        data["repeat"] = write_recurrence(appointment.repeat)
        data["exceptions"] = [
            {"day": day.isoformat(), "deleted": True}
            if changed is None
            else {"day": day.isoformat(), **write_appointment(changed)}
            for day, changed in appointment.exceptions.items()
        ]
    return data


def _whole_days(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From the midnight before or at ``start`` to the one after or at ``end``, at least one day."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    after = last.date() + timedelta(days=last.time() != time(0))
    after = max(after, first.date() + timedelta(days=1))
    return at_wall_time(datetime.combine(first.date(), time(0)), zone), at_wall_time(
        datetime.combine(after, time(0)), zone
    )


def _read_exceptions(series: Appointment, entries: list[dict[str, Any]]) -> Mapping[date, Appointment | None]:
    exceptions: dict[date, Appointment | None] = {}
    if series.repeat is None:
        if entries:
            raise ValueError("exceptions: only a series has exceptions")
        return MappingProxyType({})
    for entry in entries:
        changes = dict(entry)
        day = date.fromisoformat(changes.pop("day"))
        if day not in series.repeat.days(day, day):
            raise ValueError(f"exceptions: the series does not take place on {day}")
        if changes.pop("deleted", False):
            exceptions[day] = None
        else:
            exceptions[day] = make_exception(series, day, changes)
    return MappingProxyType(exceptions)


def make_exception(series: Appointment, day: date, changes: Mapping[str, Any]) -> Appointment:
    """What stands in place of that day's occurrence after ``changes``. Raises KeyError and ValueError."""
    occurrence = series.occurrence_on(day)
    plain = replace(
        occurrence.appointment,
        start=occurrence.start,
        end=occurrence.end,
        repeat=None,
        exceptions=MappingProxyType({}),
    )
    return change_appointment(plain, changes)
