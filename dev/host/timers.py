"""Timer triggers: NCRONTAB schedules in UTC, and the listener that runs a function by one.

Follows Microsoft Learn, "Timer trigger for Azure Functions", and the TimerListener of
Azure/azure-webjobs-sdk-extensions.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from azure.core.exceptions import AzureError
from azure.data.tables.aio import TableClient
from cronsim import CronSim, CronSimError

from dev.host.pauses import pause
from dev.host.protos import TypedData

logger = logging.getLogger("dev.host")

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

    def ticks_within_minute(self, moment: datetime) -> bool:
        """True if it ticks more than once in the minute after ``moment``."""
        return self.next_after(self.next_after(moment)) <= moment + timedelta(minutes=1)

    def _cron(self, moment: datetime) -> CronSim:
        try:
            cron = CronSim(self.expression, moment)
        except CronSimError as error:
            raise ValueError(f"'{self.expression}' is not an NCRONTAB expression: {error}") from error
        # Unlike cron, NCRONTAB always wants both day fields to match.
        cron.day_and = True
        return cron


@dataclass(frozen=True)
class TimerStatus:
    """When a timer ran last (UTC; or began to be watched), which says what was missed."""

    last: datetime


class TimerMonitor(Protocol):
    """Remembers across restarts when timers ran."""

    async def load(self, name: str) -> TimerStatus | None: ...

    async def save(self, name: str, status: TimerStatus) -> None: ...


class TableTimerMonitor:
    """In a table of the app's storage; the host in Azure keeps blobs there instead."""

    TABLE = "devhosttimers"

    def __init__(self, table: TableClient, host_id: str) -> None:
        self._table = table
        self._host_id = host_id

    async def load(self, name: str) -> TimerStatus | None:
        entities = self._table.query_entities(
            "PartitionKey eq @host and RowKey eq @name", parameters={"host": self._host_id, "name": name}
        )
        async for entity in entities:
            return TimerStatus(datetime.fromisoformat(entity["Last"]))
        return None

    async def save(self, name: str, status: TimerStatus) -> None:
        await self._table.upsert_entity(
            {"PartitionKey": self._host_id, "RowKey": name, "Last": status.last.isoformat()}
        )


class TimerListener:
    """Runs one timer function whenever it is due, never twice at a time.

    A run that begins more than a second late (the last one overran, the machine slept), or that was missed
    while the host was down, is past due; several missed occurrences are one run. ``monitor`` is not used for
    schedules that tick more than once a minute.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        invoke: Callable[[TypedData], Awaitable[object]],
        *,
        run_on_startup: bool = False,
        monitor: TimerMonitor | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._schedule = schedule
        self._invoke = invoke
        self._run_on_startup = run_on_startup
        self._monitor = None if schedule.ticks_within_minute(clock()) else monitor
        self._clock = clock
        self._last: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def listen(self, stop: asyncio.Event) -> None:
        """Tick until ``stop`` is set; a run that has begun is finished first."""
        started = self._clock()
        status = await self._recall()
        if status is not None:
            self._last = status.last
        next_run = self._schedule.next_after(self._last or started)
        if next_run > started and self._run_on_startup:
            await self.run()
            next_run = self._schedule.next_after(max(started, self._last or started))
        elif status is None:
            await self._remember(started)
        while now := await self._wait_until(next_run, stop):
            await self.run(past_due=now - next_run > LATE)
            next_run = self._schedule.next_after(now)

    async def run(self, *, past_due: bool = False) -> None:
        """Run the function now, after the run under way if there is one."""
        async with self._one_at_a_time:
            began = self._clock()
            await self._invoke(TypedData(json=self._timer_info(past_due)))
            self._last = began
            await self._remember(began)

    async def _recall(self) -> TimerStatus | None:
        if self._monitor is None:
            return None
        try:
            return await self._monitor.load(self.name)
        except AzureError as error:
            logger.warning("the status of timer %s was not read: %s", self.name, type(error).__name__)
            return None

    async def _remember(self, last: datetime) -> None:
        if self._monitor is None:
            return
        try:
            await self._monitor.save(self.name, TimerStatus(last))
        except AzureError as error:
            logger.warning("the status of timer %s was not stored: %s", self.name, type(error).__name__)

    async def _wait_until(self, due: datetime, stop: asyncio.Event) -> datetime | None:
        """The time, ``due`` or later; None at the stop. The clock may be set and the machine may sleep."""
        while not stop.is_set():
            now = self._clock()
            if now >= due:
                return now
            await pause(stop, min((due - now).total_seconds(), 60.0))
        return None

    def _timer_info(self, past_due: bool) -> str:
        status = None
        if self._monitor is not None and self._last is not None:
            following = self._schedule.next_after(self._last)
            last = self._last.isoformat()
            status = {"Last": last, "Next": following.isoformat(), "LastUpdated": last}
        return json.dumps(
            {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        )
