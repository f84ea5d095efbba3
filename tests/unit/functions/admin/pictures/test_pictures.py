"""The pictures: sound, accessible, without style or script, and true to the wall clock on every day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from functions.admin.pictures.chart import Series, draw_chart
from functions.admin.pictures.timeline import (
    LEFT,
    WIDTH,
    Bar,
    Shown,
    draw_timeline,
    find_days,
    find_hours,
)

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 23, 8, tzinfo=UTC)
END = START + timedelta(hours=48)
NS = "{http://www.w3.org/2000/svg}"
STYLING = re.compile(r"^on|^style$|^href$|:href$")

type Element = etree._Element


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def bar(start: float, end: float, title: str = "Review", lane: str = "busy", *, shows: bool = False) -> Bar:
    begins, ends = START + hours(start), START + hours(end)
    return Bar(lane, begins, ends, title, ((begins, ends),) if shows else ())


def draw(*bars: Bar, shown: tuple[Shown, ...] = (), now: datetime = START) -> Element:
    return parse(draw_timeline(bars, shown, START, END, now, BERLIN, title="Anna's next 48 hours"))


def parse(text: str) -> Element:
    root = etree.fromstring(text.encode())
    assert root.tag == f"{NS}svg"
    for each in root.iter():
        assert etree.QName(each).localname not in ("style", "script", "foreignObject", "a", "image", "use")
        assert not [name for name in each.attrib if STYLING.search(str(name))]
        assert not [value for value in each.attrib.values() if "url(" in str(value)]
    return root


def of_class(root: Element, name: str) -> list[Element]:
    return [each for each in root.iter() if name in each.get("class", "").split()]


def number(each: Element, name: str) -> float:
    return float(each.get(name, "nan"))


def words(root: Element) -> str:
    return " ".join(str(text) for text in root.itertext())


def test_a_picture_has_a_title_and_says_what_is_in_it() -> None:
    shown = Shown("busy", START + hours(1), START + hours(2), "Busy: Review")
    root = draw(bar(1, 2, shows=True), shown=(shown,))
    assert root.get("role") == "img"
    for reference, tag in (("aria-labelledby", "title"), ("aria-describedby", "desc")):
        named = root.find(f"{NS}{tag}")
        assert named is not None
        assert named.get("id") == root.get(reference)
    assert root.findtext(f"{NS}title") == "Anna's next 48 hours"
    assert root.findtext(f"{NS}desc") == "1 appointment. Shown: Busy: Review: Mon 10:00 to Mon 11:00."


def test_the_winner_is_marked_for_as_long_as_it_shows() -> None:
    winner = Bar("busy", START, END, "Long", ((START + hours(12), START + hours(24)),))
    root = draw(winner, bar(12, 24, "Loser"))
    [wins] = of_class(root, "wins")
    scale = (WIDTH - LEFT) / 48
    assert number(wins, "x") == pytest.approx(LEFT + 12 * scale, abs=0.1)
    assert number(wins, "width") == pytest.approx(12 * scale, abs=0.1)
    assert [each.findtext(f"{NS}title") for each in of_class(root, "shows")] == ["Long"]


def test_appointments_that_overlap_lie_below_each_other() -> None:
    root = draw(bar(1, 5, "One"), bar(2, 3, "Two"), bar(5, 6, "Three"), bar(5.5, 8, "Four"))
    heights = {
        group.findtext(f"{NS}title"): number(of_class(group, "bar")[0], "y")
        for group in of_class(root, "appointment")
    }
    assert heights["One"] < heights["Two"]
    assert heights["One"] == heights["Three"]
    assert heights["Three"] < heights["Four"]


def test_each_activity_has_its_lane() -> None:
    root = draw(bar(1, 2, "A", "dnd"), bar(1, 2, "B", "away"), bar(1, 2, "C"), bar(1, 2, "D", "available"))
    heights = [number(each, "y") for each in of_class(root, "bar")]
    assert heights == sorted(set(heights))
    assert "Doesn't count" not in words(root)
    assert "Doesn't count" in words(draw(bar(1, 2, "E", "ignored")))


def test_now_is_a_line_if_it_lies_in_the_picture() -> None:
    [line] = of_class(draw(now=START + hours(24)), "now")
    assert number(line, "x1") == pytest.approx((LEFT + WIDTH) / 2)
    assert not of_class(draw(now=END), "now")


def test_what_is_over_the_edges_is_cut_there_and_what_is_beyond_is_left_out() -> None:
    root = draw(bar(-5, 100), bar(-5, -1, "Before"), bar(48, 50, "After"))
    [only] = of_class(root, "bar")
    assert (number(only, "x"), number(only, "width")) == (LEFT, WIDTH - LEFT)
    assert "Before" not in words(root)
    assert "After" not in words(root)


def test_a_short_appointment_is_seen_and_its_title_is_in_its_tooltip() -> None:
    root = draw(bar(1, 1.01, "A rather long title"))
    [only] = of_class(root, "bar")
    assert number(only, "width") >= 2
    assert not of_class(root, "bar-title")
    assert "A rather long title" in words(root)


def test_a_long_title_is_cut_to_its_bar() -> None:
    [title] = of_class(draw(bar(1, 5, "x" * 100)), "bar-title")
    assert 3 <= len(title.text or "") < 20
    assert (title.text or "").endswith("…")


HOSTILE = '</text><script>alert(1)</script>" onload="x' + "'&]]>\x00\x1f\ud800"


def test_markup_in_a_subject_is_text() -> None:
    root = draw(bar(1, 40, HOSTILE, shows=True), shown=(Shown("busy", START, END, HOSTILE),))
    assert "<script>alert(1)</script>" in words(root)


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_subject_gives_a_sound_picture(subject: str) -> None:
    draw(bar(1, 40, subject), shown=(Shown("busy", START, END, subject),))
    parse(draw_chart([START], [Series("errors", subject, (1,))], BERLIN, title=subject))


# ---- days and hours


@pytest.mark.parametrize(
    ("day", "zone", "length"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 11, 23), "Europe/Berlin", 24),
        (date(2026, 10, 4), "Australia/Lord_Howe", 23.5),
        (date(2018, 11, 4), "America/Sao_Paulo", 23),  # the clocks skip midnight
        (date(2018, 2, 17), "America/Sao_Paulo", 25),  # and go back at midnight
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_give_it(day: date, zone: str, length: float) -> None:
    middle = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    days = list(find_days(middle - hours(24), middle + hours(24), ZoneInfo(zone)))
    assert [each.date for each in days] == [day + timedelta(days=offset) for offset in (-1, 0, 1)]
    assert days[1].hours == length
    assert days[1].end - days[1].start == hours(length)
    ticks = [hour for hour in find_hours(days[1].start, days[1].end, ZoneInfo(zone)) if hour.date() == day]
    assert len(ticks) == int(length)
    drawn = draw_timeline((), (), middle - hours(24), middle + hours(24), middle, ZoneInfo(zone), title="x")
    extra = "" if length == 24 else f" ({length:g} hours)"
    assert f"{day:%a %d.%m.}{extra} " in words(parse(drawn)) + " "
    assert len(of_class(parse(drawn), "midnight")) == 2


def test_the_hour_that_is_skipped_is_missing_and_the_repeated_one_comes_twice() -> None:
    spring = datetime(2026, 3, 29, tzinfo=UTC) - hours(1)
    assert [each.hour for each in find_hours(spring, spring + hours(4), BERLIN)] == [0, 1, 3, 4]
    autumn = datetime(2026, 10, 25, tzinfo=UTC) - hours(2)
    assert [each.hour for each in find_hours(autumn, autumn + hours(5), BERLIN)] == [0, 1, 2, 2, 3]


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo", "America/St_Johns"]
).map(ZoneInfo)


_MINUTES = st.integers(0, 15 * 366 * 24 * 60)


@given(_MINUTES.map(lambda count: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=count)), ZONES)
def test_days_touch_and_hours_are_full(start: datetime, zone: ZoneInfo) -> None:
    end = start + hours(48)
    days = list(find_days(start, end, zone))
    assert (days[0].start, days[-1].end) == (start, end)
    assert all(before.end == after.start for before, after in pairwise(days))
    for day in days:
        assert day.start.astimezone(zone).date() == day.date
    ticks = list(find_hours(start, end, zone))
    assert 47 <= len(ticks) <= 49
    assert {(each.minute, each.second, each.microsecond) for each in ticks} == {(0, 0, 0)}
    assert all(before.astimezone(UTC) < after.astimezone(UTC) for before, after in pairwise(ticks))
    parse(draw_timeline((), (), start, end, start, zone, title="x"))


# ---- the chart


def test_the_chart_draws_a_column_for_each_hour_that_has_something() -> None:
    times = [START + hours(number) for number in range(24)]
    series = [
        Series("reads", "Calendars read", (0, 5, 10, *[0] * 21)),
        Series("errors", "Errors", (0,) * 24),
    ]
    root = parse(draw_chart(times, series, BERLIN, title="The last 24 hours"))
    low, high = of_class(root, "column")
    assert number(high, "height") == pytest.approx(2 * number(low, "height"), abs=0.2)
    assert number(high, "x") > number(low, "x")
    assert low.findtext(f"{NS}title") == "Calendars read, Mon 10:00: 5"
    assert root.findtext(f"{NS}desc") == (
        "Calendars read: 15, at most 10 an hour. Errors: 0, at most 0 an hour."
    )
    assert " ".join(each.text or "" for each in of_class(root, "hour-name")) == "09 12 15 18 21 00 03 06"


def test_columns_stay_within_their_row() -> None:
    times = [START + hours(number) for number in range(24)]
    series = [Series(name, name, tuple(range(24))) for name in ("notifications", "reads", "errors")]
    root = parse(draw_chart(times, series, BERLIN, title="x"))
    bases = sorted(number(each, "y1") for each in of_class(root, "rule"))
    for each in of_class(root, "column"):
        bottom = number(each, "y") + number(each, "height")
        assert min(abs(bottom - base) for base in bases) < 0.2
        assert number(each, "height") <= 44
    assert max(number(each, "x") + number(each, "width") for each in of_class(root, "column")) < WIDTH


def test_nothing_counted_is_an_empty_chart() -> None:
    assert not of_class(parse(draw_chart([], [], BERLIN, title="x")), "column")


def test_a_series_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="as long as the hours"):
        draw_chart([START], [Series("reads", "Reads", ())], BERLIN, title="x")
