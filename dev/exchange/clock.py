"""What the simulator takes for the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now_in_utc() -> datetime:
    """The real time."""
    return datetime.now(UTC)
