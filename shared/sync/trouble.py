"""When a whole system can't be used: what is noted, and when it is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.errors import CalendarError, ExchangeError
from shared.sync.interfaces import Trouble

LONGEST_PAUSE = timedelta(minutes=15)
_DEFAULT_PAUSE = timedelta(seconds=10)


def add_failure(before: Trouble | None, error: CalendarError, now: datetime) -> Trouble:
    """The trouble after one more failure: the pause is what the error asks for, doubled each time."""
    attempts = before.attempts + 1 if before else 1
    pause = find_pause(error, attempts)
    code = error.code if isinstance(error, ExchangeError) else type(error).__name__
    return Trouble(code, str(error), before.since if before else now, attempts, now + pause)


def find_pause(error: CalendarError, attempts: int) -> timedelta:
    """How long to wait after the ``attempts``-th failure in a row: doubling, 15 minutes at most.

    An error that asks for longer than that is obeyed.
    """
    asked = error.retry_after or _DEFAULT_PAUSE
    doubled = asked * (1 << min(attempts - 1, 10))
    return max(asked, min(doubled, LONGEST_PAUSE))
