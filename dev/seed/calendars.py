"""A week of an invented company's calendars, in the seed format of the simulated Exchange.

Times are local wall times of the company's zone, without an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from dev.seed.people import Person

MEETINGS = (
    "Jour fixe",
    "Angebot Müller & Söhne",
    "Budget 2027",
    "Übergabe für Jörg",
    "Kundentermin",
    "Design review",
    "Sprint planning",
    "Interview",
    "Telefonat mit Straßer GmbH",
    "Roadmap",
    "Mitarbeitergespräch",
    "Abnahme",
    "Schulung Telefonanlage",
    "1:1",
    "Projekt „Grüne Wiese“",
    "Retrospektive",
)
STAND_UPS = {
    "sales": time(8, 45),
    "support": time(8, 30),
    "development": time(9, 15),
    "purchasing": time(9, 0),
    "management": time(9, 30),
}
FIRST_HOUR, LAST_HOUR = 8, 18
DAYS = 8
SERIES_BEGAN = timedelta(weeks=6)

type Appointment = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Diary:
    """Where one person's appointments are made: whose, for which days, among whom.

    ``shift`` moves the office hours, in whole hours; with ``weekends`` there is work on every day.
    """

    person: Person
    days: list[date]
    colleagues: list[Person]
    random: Random
    domain: str
    shift: timedelta = timedelta()
    weekends: bool = False

    def meet(self, day: date, begin: time, minutes: int, subject: str, **more: Any) -> Appointment:
        """Make an appointment, called by a colleague unless ``more`` says who."""
        start = self.when(day, begin)
        host = self.random.choice(self.colleagues)
        called = {"organizer": host.mailbox or f"{host.sip}@{self.domain}", "organizer_name": host.name}
        own = {"response": "organizer" if host is self.person else "accept"}
        return {"subject": subject} | _span(start, start + timedelta(minutes=minutes)) | called | own | more

    def when(self, day: date, begin: time) -> datetime:
        """Give the wall time at which something begins that is usual at ``begin``."""
        return datetime.combine(day, begin) + self.shift

    def block(self, day: date, days: int, subject: str, **more: Any) -> Appointment:
        """Make an all-day appointment of one's own."""
        start = datetime.combine(day, time(0))
        own = {"organizer": self.person.mailbox, "organizer_name": self.person.name, "response": "organizer"}
        span = _span(start, start + timedelta(days=days))
        return {"subject": subject, "all_day": True} | span | own | more

    def pick_time(self) -> time:
        """Give a half hour of the working day at which a meeting of an hour still fits."""
        return time(self.random.randrange(FIRST_HOUR, LAST_HOUR - 1), self.random.choice((0, 30)))

    def pick_day(self) -> date:
        """Give one of the next two working days."""
        return self.random.choice(self._working_days()[:2])

    def _working_days(self) -> list[date]:
        return [day for day in self.days if self.weekends or day.weekday() < 5]

    def everyday(self) -> Iterator[Appointment]:
        """Give what everybody has: the stand-up, a weekly series, and some meetings a day."""
        began = self.days[0] - SERIES_BEGAN
        began -= timedelta(days=began.weekday())
        stand_up = STAND_UPS[self.person.team]
        weekdays = ["mon", "tue", "wed", "thu", "fri"]
        repeat = {"every": "day"} if self.weekends else {"every": "week", "days": weekdays}
        yield self.meet(began, stand_up, 15, "Stand-up", repeat=repeat)
        weekly = began + timedelta(days=self.random.randrange(5))
        subject = f"Team {self.person.team}"
        yield self.meet(weekly, self.pick_time(), 60, subject, repeat={"every": "week", "interval": 1})
        for day in self._working_days():
            for _ in range(self.random.randrange(4)):
                minutes = self.random.choice((30, 30, 60))
                yield self.meet(day, self.pick_time(), minutes, self.random.choice(MEETINGS))


def create_mailbox(number: int, person: Person, diary: Diary, zone: str) -> dict[str, Any]:
    """Give one mailbox with its calendar. ``number`` chooses what is special about it."""
    special = SPECIALS[number % len(SPECIALS)]
    return {
        "address": person.mailbox,
        "aliases": list(person.aliases),
        "name": person.name,
        "zone": zone,
        "appointments": [*diary.everyday(), *special(diary)],
    }


def _overlapping(diary: Diary) -> Iterator[Appointment]:
    day = diary.pick_day()
    yield diary.meet(day, time(10, 0), 90, "Lenkungskreis")
    yield diary.meet(day, time(11, 0), 60, "Kundenanruf")
    yield diary.meet(day, time(11, 0), 60, "Rückfragen", show_as="out_of_office")


def _private(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "Zahnarzt", sensitivity="private")
    yield diary.meet(diary.pick_day(), time(18, 30), 120, "Chorprobe", sensitivity="personal")


def _confidential(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "Gehaltsrunde", sensitivity="confidential")


def _all_day(diary: Diary) -> Iterator[Appointment]:
    yield diary.block(diary.pick_day(), 1, "Messe Hannover", show_as="busy")
    yield diary.block(diary.days[0], 1, "Geburtstag von Käthe", show_as="free")


def _out_of_office(diary: Diary) -> Iterator[Appointment]:
    yield diary.block(diary.days[0], 5, "Urlaub", show_as="out_of_office")


def _travel(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), time(13, 0), 300, "Reise nach Zürich", show_as="out_of_office")


def _home_office(diary: Diary) -> Iterator[Appointment]:
    day = diary.pick_day()
    yield diary.block(day, 1, "Homeoffice", show_as="working_elsewhere")
    yield diary.meet(day, time(14, 0), 60, "Abstimmung")


def _home_office_series(diary: Diary) -> Iterator[Appointment]:
    began = diary.days[0] - SERIES_BEGAN
    series = {"every": "day"} if diary.weekends else {"every": "week", "days": ["tue", "thu"]}
    shown = {"show_as": "working_elsewhere", "response": "organizer", "organizer": diary.person.mailbox}
    began += timedelta(days=(1 - began.weekday()) % 7)
    yield diary.meet(began, time(8, 0), 540, "Homeoffice", repeat=series, **shown)


def _tentative(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(
        diary.pick_day(),
        diary.pick_time(),
        60,
        "Vielleicht: Kaffee",
        show_as="tentative",
        response="tentative",
    )


def _sick(diary: Diary) -> Iterator[Appointment]:
    office = {"organizer": f"personnel@{diary.domain}", "organizer_name": "Personalabteilung"}
    yield diary.block(
        diary.pick_day(), 2, "krank", show_as="tentative", **office | {"response": "no_response"}
    )


def _cancelled(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "Abgesagt: Richtfest", cancelled=True)


def _declined(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "Werbeveranstaltung", response="decline")


def _empty_subjects(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 30, "")
    yield diary.meet(diary.pick_day(), diary.pick_time(), 30, "  \u00a0 ", show_as="out_of_office")


def _emoji(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "🎉 Abschied von Özlem 👩‍💻")
    yield diary.meet(diary.pick_day(), diary.pick_time(), 30, "Größenänderung ≥ 10 %")


def _hashes(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 30, "#free Ticket #4711\tdringend")


def _long_subject(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.pick_day(), diary.pick_time(), 60, "Vorbesprechung der Besprechung, " * 6)


def _free(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.days[0] - SERIES_BEGAN, time(12, 0), 45, "Mittagessen", show_as="free")
    yield diary.meet(diary.pick_day(), time(12, 0), 45, "Mittagessen", show_as="free")


def _no_data(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(
        diary.pick_day(), diary.pick_time(), 30, "Übernommen aus dem alten System", show_as="no_data"
    )


def _night(diary: Diary) -> Iterator[Appointment]:
    yield diary.meet(diary.days[0], time(22, 0), 480, "Wartungsfenster")


def _changed_series(diary: Diary) -> Iterator[Appointment]:
    began = diary.days[0] - timedelta(days=7)
    moved, deleted = (diary.when(day, time(17, 0)) for day in diary.days[:2])
    earlier = moved - timedelta(hours=1)
    exceptions = [
        {"day": f"{moved:%F}", "start": earlier.isoformat(), "subject": "Tagesabschluss (verschoben)"},
        {"day": f"{deleted:%F}", "deleted": True},
    ]
    yield diary.meet(began, time(17, 0), 15, "Tagesabschluss", repeat={"every": "day"}, exceptions=exceptions)


SPECIALS = (
    _overlapping,
    _private,
    _all_day,
    _no_data,
    _home_office,
    _tentative,
    _sick,
    _out_of_office,
    _cancelled,
    _declined,
    _empty_subjects,
    _emoji,
    _confidential,
    _hashes,
    _travel,
    _long_subject,
    _free,
    _night,
    _changed_series,
    _home_office_series,
)


def _span(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}
