import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.host.configuration import HostError
from dev.host.timers import Schedule, run_when_due
from dev.host.worker import TypedData

type Run = Callable[[TypedData], Awaitable[None]]

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)  # a Monday


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "moment", "following"),
    [
        ("*/1 * * * * *", "2026-03-02T12:00:00.5", "2026-03-02T12:00:01"),
        ("30 * * * * *", "2026-03-02T12:00:00", "2026-03-02T12:00:30"),
        ("0 */15 * * * *", "2026-03-02T12:00:00", "2026-03-02T12:15:00"),
        ("0 5 * * * *", "2026-03-02T12:00:00", "2026-03-02T12:05:00"),
        ("5 * * * *", "2026-03-02T12:00:00", "2026-03-02T12:05:00"),
        ("0 30 9 * JAN MON", "2026-03-02T12:00:00", "2027-01-04T09:30:00"),
        ("0 0 0 * JUL *", "2026-03-02T12:00:00", "2026-07-01T00:00:00"),
        # Both day fields: the first Monday to come on a 13th, not any 13th or Monday.
        ("0 0 0 13 * 1", "2026-03-02T12:00:00", "2026-04-13T00:00:00"),
        # No daylight saving: 02:30 comes on the day it does not exist in Europe.
        ("0 30 2 * * *", "2026-03-28T12:00:00", "2026-03-29T02:30:00"),
    ],
)
def test_the_first_field_is_seconds_and_times_are_utc(expression: str, moment: str, following: str) -> None:
    assert Schedule(expression).next_after(at(moment)) == at(following)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "60 * * * * *",
        "00:05:00",
        "0 0 0 30 2 *",
    ],
)
def test_other_schedules_are_refused(expression: str) -> None:
    with pytest.raises(HostError, match="is not an NCRONTAB expression, or never comes"):
        Schedule(expression)


class Clock:
    """Tells the real time that has passed, from a moment of our choice on."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()

    def __call__(self) -> datetime:
        return self.moment + timedelta(seconds=self._loop.time() - self._started)


class Runs:
    """The function: it notes its arguments, takes ``seconds``, and counts how many of it run."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.infos: list[dict[str, Any]] = []
        self.at_once = 0
        self._seconds = seconds
        self._running = 0

    async def __call__(self, data: TypedData) -> None:
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        self.infos.append(json.loads(data.value))
        await asyncio.sleep(self._seconds)
        self._running -= 1

    @property
    def past_due(self) -> list[bool]:
        return [info["IsPastDue"] for info in self.infos]


async def listen(expression: str, run: Run, clock: Clock, seconds: float) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(run_when_due(Schedule(expression), run, stop, clock))
    await asyncio.sleep(seconds)
    stop.set()
    await task


async def test_a_timer_ticks_when_due() -> None:
    runs = Runs()
    await listen("0 0 12 * * *", runs, Clock(NOON - timedelta(seconds=9)), 0.1)
    assert runs.infos == []
    await listen("0 0 12 * * *", runs, Clock(NOON - timedelta(seconds=0.1)), 0.4)
    assert runs.past_due == [False]


async def test_a_run_that_the_last_one_held_up_is_past_due_and_never_at_the_same_time() -> None:
    runs = Runs(seconds=2.3)
    await listen("* * * * * *", runs, Clock(NOON + timedelta(seconds=0.9)), 2.7)
    assert runs.past_due == [False, True]
    assert runs.at_once == 1


async def test_a_clock_behind_does_not_make_an_occurrence_come_twice() -> None:
    runs = Runs()

    class Jumpy(Clock):
        def __call__(self) -> datetime:
            return super().__call__() - timedelta(seconds=0.3 if runs.infos else 0)

    clock = Jumpy(NOON - timedelta(seconds=0.1))
    await listen("0 0 12 * * *", runs, clock, 0.6)
    assert len(runs.infos) == 1


async def test_a_run_that_has_begun_is_finished_at_the_stop() -> None:
    finished = False

    async def work(_data: TypedData) -> None:
        nonlocal finished
        await asyncio.sleep(0.2)
        finished = True

    await listen("* * * * * *", work, Clock(NOON - timedelta(seconds=0.01)), 0.05)
    assert finished
