"""The last 24 hours as an administrator reads them: four numbers by the hour, and their picture. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from functions.admin.pictures.chart import Series, draw_chart
from shared.metrics import Hour

SERIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "notifications": ("Notifications", ("notifications",)),
    "reads": ("Calendars read", ("reads",)),
    "presences": ("Presences set", ("presences",)),
    "errors": ("Errors", ("errors_user", "errors_exchange", "errors_pbx", "presences_refused")),
}
"""Each number with its title, and the counters whose sum it is."""


def count_hour(hour: Hour) -> dict[str, int]:
    """The four numbers of an hour, by name."""
    return {name: sum(hour.counts.get(each, 0) for each in parts) for name, (_, parts) in SERIES.items()}


def draw_day(hours: Sequence[Hour], zone: ZoneInfo) -> str:
    """Draw them over the hours, which are named by the clocks of the zone."""
    counted = [count_hour(hour) for hour in hours]
    series = [
        Series(name, title, tuple(each[name] for each in counted)) for name, (title, _) in SERIES.items()
    ]
    return draw_chart([hour.begin for hour in hours], series, zone, title="The last 24 hours")
