"""Instants and the wall clock of a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_A_DAY = timedelta(hours=12)
_LAST_NOON = datetime.max - _HALF_A_DAY  # noqa: DTZ901 - a wall clock has no zone
_MILLISECOND = timedelta(milliseconds=1)


def to_utc(instant: datetime) -> datetime:
    """Give the same instant in UTC. Raises ValueError when it has no zone."""
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(UTC)


def to_local(instant: datetime, zone: tzinfo) -> datetime:
    """Give an instant on the zone's wall clock; as it is where that clock is beyond the calendar."""
    try:
        return instant.astimezone(zone)
    except OverflowError:
        return instant


def to_milliseconds(instant: datetime) -> int:
    """Count the milliseconds since 1970 UTC, rounded down."""
    return (instant - EPOCH) // _MILLISECOND


def find_nearest_day(instant: datetime, zone: tzinfo) -> date:
    """Give the date on the zone's wall clock whose midnight is nearest to the instant."""
    wall = to_local(instant, zone).replace(tzinfo=None)
    return (wall if wall > _LAST_NOON else wall + _HALF_A_DAY).date()


def begin_day(instant: datetime, zone: tzinfo) -> datetime:
    """Give the instant (UTC) at which the local day that holds ``instant`` begins."""
    midnight = to_local(instant, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.astimezone(UTC)
