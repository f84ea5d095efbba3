"""The days on which a series takes place: daily, weekly on days of the week, monthly on a day.

Published source: EWS reference, DailyRecurrence, WeeklyRecurrence, AbsoluteMonthlyRecurrence.
Weeks begin on Monday.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FAR_AWAY = date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A pattern of days from ``first`` to ``last``, both included.

    ``every`` is day, week or month; ``weekdays`` (0 is Monday) belong to week and ``day`` (1 to 31) to month:
    in a month that is too short the series takes place on its last day.
    """

    every: str
    first: date
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    day: int = 0
    last: date = FAR_AWAY

    def days(self, after: date, before: date) -> Iterator[date]:
        """The days of the series from ``after`` to ``before``, both included, in order."""
        after, before = max(after, self.first), min(before, self.last)
        for day in self._candidates(after):
            if day > before:
                return
            if day >= after:
                yield day

    def _candidates(self, after: date) -> Iterator[date]:
        """Days of the pattern in order, endlessly, beginning not later than ``after``."""
        if self.every == "day":
            day = self.first + timedelta((after - self.first).days // self.interval * self.interval)
            while True:
                yield day
                day += timedelta(self.interval)
        elif self.every == "week":
            monday = self.first - timedelta(self.first.weekday())
            weeks = (after - monday).days // 7 // self.interval * self.interval
            while True:
                yield from (monday + timedelta(7 * weeks + weekday) for weekday in self.weekdays)
                weeks += self.interval
        else:
            months = 12 * (after.year - self.first.year) + after.month - self.first.month
            months = months // self.interval * self.interval
            while True:
                year, month = divmod(12 * self.first.year + self.first.month - 1 + months, 12)
                yield date(year, month + 1, min(self.day, monthrange(year, month + 1)[1]))
                months += self.interval


def read_recurrence(data: dict[str, Any], first: date) -> Recurrence:
    """A series' pattern from JSON: ``{"every": "week", "interval": 1, "days": ["mon"], "count": 10}``.

    ``first`` is the date of the appointment's start in its zone. ``until`` (a date) or ``count`` ends it.
    Raises ValueError with a sentence about what is wrong.
    """
    if unknown := data.keys() - {"every", "interval", "days", "day", "until", "count"}:
        raise ValueError(f"repeat: unknown {', '.join(sorted(unknown))}")
    every, interval = data.get("every"), int(data.get("interval", 1))
    if every not in ("day", "week", "month"):
        raise ValueError(f"repeat.every: {every!r} is none of day, week, month")
    if interval < 1:
        raise ValueError(f"repeat.interval: {interval} is less than 1")
    names = data.get("days", [WEEKDAYS[first.weekday()]])
    if wrong := set(names) - set(WEEKDAYS) or not names:
        raise ValueError(f"repeat.days: {wrong} is not of {', '.join(WEEKDAYS)}")
    pattern = Recurrence(
        every, first, interval, tuple(sorted(map(WEEKDAYS.index, names))), int(data.get("day", first.day))
    )
    if not 1 <= pattern.day <= 31:
        raise ValueError(f"repeat.day: {pattern.day} is no day of a month")
    last = FAR_AWAY
    if "until" in data:
        last = date.fromisoformat(data["until"])
    elif "count" in data:
        if int(data["count"]) < 1:
            raise ValueError(f"repeat.count: {data['count']} is less than 1")
        *_, last = islice(pattern.days(first, FAR_AWAY), int(data["count"]))
    return Recurrence(every, first, interval, pattern.weekdays, pattern.day, last)


def write_recurrence(pattern: Recurrence) -> dict[str, Any]:
    """The JSON that read_recurrence reads; a count has become the date of its last occurrence."""
    data: dict[str, Any] = {"every": pattern.every, "interval": pattern.interval}
    if pattern.every == "week":
        data["days"] = [WEEKDAYS[weekday] for weekday in pattern.weekdays]
    if pattern.every == "month":
        data["day"] = pattern.day
    if pattern.last != FAR_AWAY:
        data["until"] = pattern.last.isoformat()
    return data
