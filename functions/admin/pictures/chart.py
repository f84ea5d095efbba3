"""What was counted in the last hours: a row of columns for each count, each on a scale of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from functions.admin.pictures.svg import element, label, picture, text_of

WIDTH, LEFT, RIGHT = 1000.0, 150.0, 70.0
PANEL, COLUMNS_HEIGHT, FOOT = 64.0, 44.0, 24.0


@dataclass(frozen=True, slots=True)
class Series:
    """A count by the hour, as long as the hours. ``name`` is a class of the picture, such as *errors*."""

    name: str
    title: str
    values: tuple[int, ...]


def draw_chart(hours: Sequence[datetime], series: Sequence[Series], zone: ZoneInfo, *, title: str) -> str:
    """Draw counts by the hour; ``hours`` (aware) are when each begins, the oldest first.

    Raises ValueError where a series is not as long as the hours.
    """
    if any(len(each.values) != len(hours) for each in series):
        raise ValueError("a series is not as long as the hours")
    height = PANEL * len(series) + FOOT
    step = (WIDTH - LEFT - RIGHT) / max(len(hours), 1)
    parts = [
        part
        for number, each in enumerate(series)
        for part in _draw_series(each, hours, zone, PANEL * number, step)
    ]
    parts += (
        label(LEFT + step * (number + 0.5), height - 8, f"{hour.astimezone(zone):%H}", "hour-name", "middle")
        for number, hour in enumerate(hours)
        if hour.astimezone(zone).hour % 3 == 0
    )
    return picture("chart", title, _describe(series), WIDTH, height, parts)


def _draw_series(
    series: Series, hours: Sequence[datetime], zone: ZoneInfo, top: float, step: float
) -> Iterator[str]:
    most = max(series.values, default=0)
    base = top + PANEL - 8
    yield label(8, base - 16, series.title, "series-name")
    yield label(8, base, f"{sum(series.values):,}", "series-total")
    yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="rule")
    if most:
        yield label(WIDTH - RIGHT + 8, base - COLUMNS_HEIGHT + 10, f"max. {most:,}", "series-most")
    for number, (hour, value) in enumerate(zip(hours, series.values, strict=True)):
        if not value:
            continue
        high = max(COLUMNS_HEIGHT * value / most, 1.0)
        yield element(
            "rect",
            element("title", text_of(f"{series.title}, {hour.astimezone(zone):%a %H:%M}: {value:,}")),
            x=LEFT + step * number + 1.5,
            y=base - high,
            width=step - 3,
            height=high,
            class_=f"column {series.name}",
        )


def _describe(series: Sequence[Series]) -> str:
    told = (
        f"{each.title}: {sum(each.values):,}, at most {max(each.values, default=0):,} an hour"
        for each in series
    )
    return f"{'. '.join(told)}."
