"""Timer triggers: NCRONTAB schedules in UTC. Follows Microsoft Learn, "Timer trigger for Azure Functions"."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from dev.host.configuration import HostError
from dev.host.worker import TypedData

LATE = timedelta(seconds=1)


class Schedule:
    """``second minute hour day month weekday``; without seconds they are 0. Raises HostError for others."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        try:
            self.next_after(datetime.now(UTC))
        except (CronSimError, StopIteration) as error:
            raise HostError(f"'{expression}' is not an NCRONTAB expression, or never comes.") from error

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after ``moment`` (UTC)."""
        cron = CronSim(self._expression, moment)
        # Unlike cron, NCRONTAB always wants both day fields to match.
        cron.day_and = True
        return next(cron)


def timer_request(*, past_due: bool = False) -> TypedData:
    """What a timer's function is started with."""
    told = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": past_due}
    return TypedData(json=json.dumps(told))


async def run_when_due(
    schedule: Schedule,
    run: Callable[[TypedData], Awaitable[object]],
    stop: asyncio.Event,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run by the schedule until ``stop`` is set, one run at a time; one that has begun is finished.

    A run that begins late (the last one overran, the machine slept) is past due; several missed occurrences
    are one run.
    """
    due = schedule.next_after(clock())
    while not stop.is_set():
        if (now := clock()) >= due:
            await run(timer_request(past_due=now - due > LATE))
            due = schedule.next_after(now)
        else:
            # The clock may be set meanwhile, and the machine may sleep.
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min((due - now).total_seconds(), 60.0))
