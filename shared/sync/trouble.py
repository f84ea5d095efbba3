"""When a whole system can't be used: what is noted, and when it is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.errors import CalendarError, ExchangeError
from shared.sync.interfaces import Trouble

LONGEST_PAUSE = timedelta(minutes=15)
_DEFAULT_PAUSE = timedelta(seconds=10)


def add_failure(before: Trouble | None, error: CalendarError, now: datetime) -> Trouble:
    """The trouble after one more failure: the pause is what the error asks for, doubled each time.

    A failure before ``before.retry_at`` is of the same attempt: several were under way together.
    """
    code = error.code if isinstance(error, ExchangeError) else type(error).__name__
    if before is None:
        return Trouble(code, str(error), now, 1, now + find_pause(error, 1))
    together = now < before.retry_at
    attempts = before.attempts if together else before.attempts + 1
    retry_at = now + find_pause(error, attempts)
    if together:
        retry_at = max(retry_at, before.retry_at)
    return Trouble(code, str(error), before.since, attempts, retry_at)


def find_pause(error: CalendarError, attempts: int) -> timedelta:
    """How long to wait after the ``attempts``-th failure in a row: doubling, 15 minutes at most.

    An error that asks for longer than that is obeyed.
    """
    asked = error.retry_after or _DEFAULT_PAUSE
    doubled = asked * (1 << min(attempts - 1, 10))
    return max(asked, min(doubled, LONGEST_PAUSE))
