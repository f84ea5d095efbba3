"""Each local date begins once, in every zone of the world and at every change of its clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from shared.model import CalendarUser, MailboxState, User
from shared.sync.interfaces import Census, Lease, Progress
from shared.sync.midnight import Midnight
from shared.sync.rounds import Rounds
from tests.integration.sync.fakes import FakeQueues

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ANNA = CalendarUser(User("a" * 32, "anna"), mailbox="a@example.com", mailbox_state=MailboxState.FOUND)


@dataclass
class Memory:
    """Health, leases and one user."""

    rounds: dict[str, Progress] = field(default_factory=dict)

    async def progress(self, name: str) -> Progress | None:
        return self.rounds.get(name)

    async def set_progress(self, name: str, progress: Progress) -> None:
        self.rounds[name] = progress

    async def census(self) -> Census | None:
        return None

    async def acquire(self, name: str, now: datetime, duration: timedelta) -> Lease | None:
        return Lease(name, now + duration, "")

    async def renew(self, lease: Lease, now: datetime, duration: timedelta) -> Lease | None:
        return Lease(lease.name, now + duration, "")

    async def acquire_or_want(
        self, name: str, now: datetime, duration: timedelta, *, asked: datetime | None = None
    ) -> Lease:
        return Lease(name, now + duration, "")

    async def release(self, lease: Lease) -> bool:
        return False

    async def in_partition(self, partition: str) -> AsyncIterator[CalendarUser]:
        if partition == "a":
            yield ANNA


@dataclass
class Clockwork:
    """Midnight, run every quarter of an hour."""

    zone: ZoneInfo
    now: datetime
    memory: Memory = field(default_factory=Memory)
    queues: FakeQueues = field(default_factory=FakeQueues)

    def __post_init__(self) -> None:
        memory = self.memory
        rounds = Rounds(memory, memory, memory, self.queues, lambda: self.now)  # type: ignore[arg-type]
        self.midnight = Midnight(rounds, memory, lambda: self.now)  # type: ignore[arg-type]

    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    async def run_until(self, end: datetime) -> list[date]:
        """The local dates that began, in order; every run that begins one is doubled."""
        began = []
        await self.midnight.run(self.zone)
        while self.now < end:
            self.now += QUARTER
            for _ in range(2):
                if not await self.midnight.run(self.zone):
                    break
                began.append(self.today())
                late = self.now - QUARTER
                assert late.astimezone(self.zone).date() != self.today(), "a run later than it could be"
        return began


def offsets(zone: str, begin: datetime, end: datetime, step: timedelta) -> tuple[timedelta | None, ...]:
    """What the zone's clocks show at each step, as a difference to UTC."""
    info = ZoneInfo(zone)
    return tuple((begin + n * step).astimezone(info).utcoffset() for n in range((end - begin) // step + 1))


def changes(zone: str) -> list[datetime]:
    """The days of the year on which the zone's clocks change."""
    shown = offsets(zone, YEAR, YEAR + 366 * DAY, DAY)
    return [YEAR + day * DAY for day in range(366) if shown[day] != shown[day + 1]]


async def test_each_date_begins_once_in_every_zone_around_every_change_of_its_clocks() -> None:
    zones = sorted(available_timezones())
    changing = 0
    done = set()
    for zone in zones:
        days = changes(zone) or [YEAR]
        changing += days != [YEAR]
        for day in days:
            # Zones whose clocks show the same at every run are one.
            shown = offsets(zone, day - DAY, day + 2 * DAY, QUARTER)
            if (day, shown) in done:
                continue
            done.add((day, shown))
            clockwork = Clockwork(ZoneInfo(zone), day - DAY)
            first = clockwork.today()
            began = await clockwork.run_until(day + 2 * DAY)
            last = clockwork.today()
            assert began == [first + number * DAY for number in range(1, (last - first).days + 1)], zone
            assert len(began) >= 2, zone
    assert len(zones) > 400
    assert changing > 100
    assert len(done) > 50


@pytest.mark.parametrize(
    ("zone", "day"), [("Pacific/Apia", "2011-12-30"), ("Pacific/Kwajalein", "1993-08-21")]
)
async def test_a_date_that_a_country_leaves_out_does_not_begin(zone: str, day: str) -> None:
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    began = await Clockwork(ZoneInfo(zone), moment - 2 * DAY).run_until(moment + 3 * DAY)
    assert moment.date() not in began
    assert began == sorted(set(began))
    assert {moment.date() - DAY, moment.date() + DAY} <= set(began)


async def test_a_whole_year_has_365_days() -> None:
    clockwork = Clockwork(ZoneInfo("Europe/Berlin"), YEAR)
    began = await clockwork.run_until(YEAR.replace(year=2027))
    assert began == [YEAR.date() + number * DAY for number in range(1, 366)]
    assert sum(len(order.users) for order in clockwork.queues.take()) == 365
