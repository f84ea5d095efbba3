"""One user's next hours: the appointments as bars in a lane for each activity, and who shows when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from functions.admin.pictures.svg import element, label, picture, text_of

WIDTH, LEFT, TOP = 1000.0, 120.0, 44.0
ROW, GAP = 22.0, 6.0

IGNORED = "ignored"
"""The lane of the appointments that never show."""

LANES = {
    "dnd": "Do not disturb",
    "away": "Away",
    "busy": "Busy",
    "available": "Available",
    IGNORED: "Doesn't count",
}
"""The lanes by activity, the strongest on top."""

_CHARACTER = 6.6
"""About how wide one is, to cut titles."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An appointment: its lane, when (aware), what may be read of it, and when it is the one that shows.

    ``detail`` stands in its tooltip in place of the title.
    """

    lane: str
    start: datetime
    end: datetime
    title: str
    shows: tuple[tuple[datetime, datetime], ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What colleagues see in a time: ``lane`` is the activity, ``title`` what stands in the note."""

    lane: str
    start: datetime
    end: datetime
    title: str


@dataclass(frozen=True, slots=True)
class Day:
    """A local day within a picture, as far as it lies in it, and how many hours the whole day has."""

    date: date
    start: datetime
    end: datetime
    hours: float


def draw_timeline(
    bars: Iterable[Bar],
    shown: Sequence[Shown],
    start: datetime,
    end: datetime,
    now: datetime,
    zone: ZoneInfo,
    *,
    title: str,
) -> str:
    """Draw what lies between two instants (aware) on the wall clock of a zone; a day may have 23 or 25 hours.

    The scale is that of real time: an hour is as wide as any other.
    """
    scale = _Scale(start, end)
    visible = [bar for bar in bars if bar.start < end and bar.end > start]
    rows = {name: _stack(bar for bar in visible if bar.lane == name) for name in LANES}
    parts: list[str] = []
    y = TOP
    parts.append(label(8, y + 15, "Shown", "lane-name"))
    parts += (_draw_shown(each, scale, y) for each in shown if each.start < end and each.end > start)
    y += ROW + 2 * GAP
    for name, stacked in rows.items():
        if not stacked and name == IGNORED:
            continue
        parts.append(element("line", x1=0.0, x2=WIDTH, y1=y - GAP, y2=y - GAP, class_="rule"))
        parts.append(label(8, y + 15, LANES[name], "lane-name"))
        for row in stacked or [[]]:
            parts += (_draw_bar(bar, scale, y) for bar in row)
            y += ROW + GAP
    height = y + 4
    grid = [*_draw_hours(scale, zone, height), *_draw_days(scale, zone, height)]
    marks = [_draw_now(scale, now, height)] if start <= now < end else []
    return picture(
        "timeline",
        title,
        _describe(visible, shown, zone),
        WIDTH,
        height,
        [*grid, *parts, *marks],
    )


def find_days(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Day]:
    """The local days that two instants (aware) enclose; the first and the last may be cut."""
    day = start.astimezone(zone).date()
    while (begins := _begin(day, zone)) < end:
        ends = _begin(day + timedelta(days=1), zone)
        yield Day(day, max(begins, start), min(ends, end), (ends - begins) / timedelta(hours=1))
        day += timedelta(days=1)


def find_hours(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Every full hour of the zone's wall clock from ``start`` to before ``end``, on that clock.

    The hour that a change of the clocks skips does not come, the one that it repeats comes twice.
    """
    instant = start.astimezone(UTC)
    while instant < end:
        local = instant.astimezone(zone)
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        if not past:
            yield local
        instant += timedelta(hours=1) - past


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime

    def x(self, instant: datetime) -> float:
        """Where an instant is, at the edge if it lies beyond."""
        part = (instant - self.start) / (self.end - self.start)
        return LEFT + (WIDTH - LEFT) * min(max(part, 0.0), 1.0)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins. Where the clocks skip midnight that is the first instant after it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return midnight.astimezone(UTC)


def _stack(bars: Iterable[Bar]) -> list[list[Bar]]:
    """Rows of bars that don't overlap."""
    rows: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: (bar.start, bar.end)):
        row = next((row for row in rows if row[-1].end <= bar.start), None)
        if row is None:
            rows.append([bar])
        else:
            row.append(bar)
    return rows


def _draw_bar(bar: Bar, scale: _Scale, y: float) -> str:
    left, right = scale.x(bar.start), scale.x(bar.end)
    width = max(right - left, 2.0)
    spans = [
        (scale.x(begins), max(scale.x(ends) - scale.x(begins), 2.0))
        for begins, ends in bar.shows
        if begins < scale.end and ends > scale.start
    ]
    wins = [element("rect", x=x, y=y, width=wide, height=ROW, class_=f"wins {bar.lane}") for x, wide in spans]
    # On one ground: the title is as long as the longest time in which the appointment shows.
    place = max(spans, key=lambda span: span[1], default=(left, width))
    return element(
        "g",
        element("title", text_of(bar.detail or bar.title)),
        element(
            "rect",
            x=left,
            y=y,
            width=width,
            height=ROW,
            rx=3,
            class_=f"bar {bar.lane}",
            stroke_dasharray="4 3" if bar.lane == IGNORED else None,
        ),
        *wins,
        *_fit(bar.title, *place, y, "bar-title on-hue" if spans else "bar-title"),
        class_="appointment shows" if bar.shows else "appointment",
    )


def _draw_shown(shown: Shown, scale: _Scale, y: float) -> str:
    left, right = scale.x(shown.start), scale.x(shown.end)
    return element(
        "g",
        element("title", text_of(shown.title)),
        element(
            "rect",
            x=left,
            y=y,
            width=max(right - left, 1.0),
            height=ROW,
            class_=f"shown {shown.lane}",
        ),
        *_fit(shown.title, left, right - left, y, "bar-title on-hue"),
        class_="presence",
    )


def _fit(words: str, left: float, width: float, y: float, class_: str) -> list[str]:
    """As much of a title as there is room for."""
    room = int((width - 8) / _CHARACTER)
    if room < 3:
        return []
    cut = words if len(words) <= room else words[: room - 1].rstrip() + "…"
    return [element("text", text_of(cut), x=left + 4, y=y + 15, class_=class_, aria_hidden="true")]


def _draw_hours(scale: _Scale, zone: ZoneInfo, height: float) -> Iterator[str]:
    for local in find_hours(scale.start, scale.end, zone):
        x = scale.x(local)
        strong = local.hour % 6 == 0
        yield element(
            "line",
            x1=x,
            x2=x,
            y1=TOP - 6 if local.hour % 3 == 0 else TOP - 2,
            y2=height,
            class_="hour",
            stroke_opacity=1 if strong else 0.4,
        )
        if local.hour % 3 == 0:
            yield label(x, TOP - 10, f"{local:%H}", "hour-name", "middle")


def _draw_days(scale: _Scale, zone: ZoneInfo, height: float) -> Iterator[str]:
    for day in find_days(scale.start, scale.end, zone):
        x = scale.x(day.start)
        if day.start > scale.start:
            yield element("line", x1=x, x2=x, y1=0.0, y2=height, class_="midnight")
        if scale.x(day.end) - x > 70:
            extra = "" if day.hours == 24 else f" ({day.hours:g} hours)"
            yield label(x + 4, 14, f"{day.date:%a %d.%m.}{extra}", "day-name")


def _draw_now(scale: _Scale, now: datetime, height: float) -> str:
    x = scale.x(now)
    return element(
        "g",
        element("title", text_of("now")),
        element("line", x1=x, x2=x, y1=TOP - 8, y2=height, class_="now", stroke_width=2),
        class_="now-mark",
    )


def _describe(bars: Sequence[Bar], shown: Sequence[Shown], zone: ZoneInfo) -> str:
    """What the picture shows, in words."""

    def span(start: datetime, end: datetime) -> str:
        return f"{start.astimezone(zone):%a %H:%M} to {end.astimezone(zone):%a %H:%M}"

    told = [f"{each.title}: {span(each.start, each.end)}" for each in shown]
    count = f"{len(bars)} appointment{'' if len(bars) == 1 else 's'}."
    return f"{count} Shown: {'; '.join(told)}." if told else count
