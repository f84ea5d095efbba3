"""Timer triggers: NCRONTAB schedules in UTC, and the listener that runs a function by one.

Follows Microsoft Learn, "Timer trigger for Azure Functions". What was missed while the host was down is not
made up: its storage is new with each start.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from dev.host.protos import TypedData

LATE = timedelta(seconds=1)


class Schedule:
    """An NCRONTAB expression: ``second minute hour day month weekday``; without seconds they are 0.

    Raises ValueError if it is not one.
    """

    def __init__(self, expression: str) -> None:
        # The library also knows cron's L, # and weekday 7, which NCRONTAB does not.
        if re.search(r"L|#|(?<!/)\b7\S*$", expression.upper().replace("JUL", "")):
            raise ValueError(f"'{expression}' is not an NCRONTAB expression")
        self.expression = expression
        if next(self._cron(datetime(2000, 1, 1, tzinfo=UTC)), None) is None:
            raise ValueError(f"'{expression}' never comes")

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after ``moment`` (UTC)."""
        return next(self._cron(moment))

    def _cron(self, moment: datetime) -> CronSim:
        try:
            cron = CronSim(self.expression, moment)
        except CronSimError as error:
            raise ValueError(f"'{self.expression}' is not an NCRONTAB expression: {error}") from error
        # Unlike cron, NCRONTAB always wants both day fields to match.
        cron.day_and = True
        return cron


class TimerListener:
    """Runs one timer function whenever it is due, never twice at a time.

    A run that begins more than a second late (the last one overran, the machine slept) is past due; several
    missed occurrences are one run.
    """

    def __init__(
        self,
        schedule: Schedule,
        invoke: Callable[[TypedData], Awaitable[object]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._schedule = schedule
        self._invoke = invoke
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def listen(self, stop: asyncio.Event) -> None:
        """Tick until ``stop`` is set; a run that has begun is finished first."""
        due = self._schedule.next_after(self._clock())
        while not stop.is_set():
            if (now := self._clock()) >= due:
                await self.run(past_due=now - due > LATE)
                due = self._schedule.next_after(now)
            else:
                # The clock may be set meanwhile, and the machine may sleep.
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), min((due - now).total_seconds(), 60.0))

    async def run(self, *, past_due: bool = False) -> None:
        """Run the function now, after the run under way if there is one."""
        told = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": past_due}
        async with self._one_at_a_time:
            await self._invoke(TypedData(json=json.dumps(told)))
