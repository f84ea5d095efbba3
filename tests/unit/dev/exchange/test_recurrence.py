"""On which days a series takes place."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.exchange.recurrence import read_recurrence, write_recurrence

MONDAY = date(2026, 11, 2)
YEAR = (date(2026, 1, 1), date(2026, 12, 31))


def days(data: dict[str, object], first: date = MONDAY, until: date = date(2027, 1, 31)) -> list[str]:
    pattern = read_recurrence(dict(data), first)
    return [day.strftime("%m-%d") for day in pattern.days(first, until)]


def test_daily_with_an_interval() -> None:
    assert days({"every": "day", "interval": 3, "count": 4}) == ["11-02", "11-05", "11-08", "11-11"]


def test_weekly_on_two_days_begins_within_the_first_week() -> None:
    wednesday = date(2026, 11, 4)
    found = days({"every": "week", "days": ["fri", "mon"], "count": 4}, wednesday)
    assert found == ["11-06", "11-09", "11-13", "11-16"]


def test_weekly_defaults_to_the_first_days_weekday() -> None:
    assert days({"every": "week", "interval": 2, "count": 3}) == ["11-02", "11-16", "11-30"]


def test_every_second_week_counts_calendar_weeks_not_seven_days() -> None:
    wednesday = date(2026, 11, 4)
    found = days({"every": "week", "interval": 2, "days": ["mon", "wed"], "count": 4}, wednesday)
    assert found == ["11-04", "11-16", "11-18", "11-30"]


def test_monthly_on_the_31st_falls_on_the_last_day_of_short_months() -> None:
    found = days({"every": "month", "count": 4}, date(2026, 12, 31), date(2027, 12, 31))
    assert found == ["12-31", "01-31", "02-28", "03-31"]


def test_monthly_on_another_day_than_the_first_begins_after_it() -> None:
    assert days({"every": "month", "day": 1}, MONDAY) == ["12-01", "01-01"]


def test_until_is_the_last_day() -> None:
    assert days({"every": "day", "until": "2026-11-04"}) == ["11-02", "11-03", "11-04"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"every": "year"}, "repeat.every"),
        ({"every": "day", "interval": 0}, "repeat.interval"),
        ({"every": "week", "days": ["monday"]}, "repeat.days"),
        ({"every": "week", "days": []}, "repeat.days"),
        ({"every": "month", "day": 32}, "repeat.day"),
        ({"every": "day", "count": 0}, "repeat.count"),
        ({"every": "day", "tomes": 3}, "unknown tomes"),
    ],
)
def test_wrong_patterns_are_named(data: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_recurrence(data, MONDAY)


PATTERNS = st.one_of(
    st.fixed_dictionaries({"every": st.just("day"), "interval": st.integers(1, 40)}),
    st.fixed_dictionaries(
        {
            "every": st.just("week"),
            "interval": st.integers(1, 6),
            "days": st.sets(
                st.sampled_from(("mon", "tue", "wed", "thu", "fri", "sat", "sun")), min_size=1
            ).map(list),
        }
    ),
    st.fixed_dictionaries(
        {"every": st.just("month"), "interval": st.integers(1, 6), "day": st.integers(1, 31)}
    ),
)


@given(PATTERNS, st.dates(*YEAR), st.integers(0, 800), st.integers(0, 60))
def test_a_window_shows_what_the_whole_series_has_there(
    data: dict[str, object], first: date, later: int, length: int
) -> None:
    pattern = read_recurrence(data, first)
    after = first + timedelta(later)
    before = after + timedelta(length)
    whole = takewhile(lambda day: day <= before, pattern.days(first, date(2099, 1, 1)))
    assert list(pattern.days(after, before)) == [day for day in whole if day >= after]


@given(PATTERNS, st.dates(*YEAR), st.integers(1, 30))
def test_a_count_survives_being_written_as_a_date(data: dict[str, object], first: date, count: int) -> None:
    pattern = read_recurrence({**data, "count": count}, first)
    assert len(list(pattern.days(first, date(2099, 1, 1)))) == count
    assert read_recurrence(write_recurrence(pattern), first) == pattern
