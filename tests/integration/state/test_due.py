"""Whose presence changes by itself, by the minute."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from shared.state.due import DueIndex
from shared.state.storage import Storage
from shared.sync.interfaces import Due

pytestmark = pytest.mark.integration

ANNA, BERND = "a" * 32, "b" * 32


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-22T{text}").replace(tzinfo=UTC)


@pytest.fixture
def index(storage: Storage) -> DueIndex:
    return DueIndex(storage)


async def who(index: DueIndex, now: datetime, limit: int = 100) -> list[str]:
    return [due.guid for due in await index.due(now, limit)]


@pytest.mark.parametrize(
    ("moment", "minute"),
    [
        ("12:00:00", "12:00:00"),
        ("12:00:00.000001", "12:01:00"),
        ("12:00:30", "12:01:00"),
        ("12:59:59.999999", "13:00:00"),
    ],
)
async def test_a_moment_is_due_at_the_first_whole_minute_not_before_it(
    index: DueIndex, moment: str, minute: str
) -> None:
    await index.schedule(ANNA, at(moment))
    assert await who(index, at(minute) - timedelta(microseconds=1)) == []
    assert await who(index, at(minute)) == [ANNA]


async def test_zones_and_midnights_do_not_matter(index: DueIndex) -> None:
    last = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    await index.schedule(ANNA, last.astimezone(ZoneInfo("Asia/Kathmandu")))
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    assert await who(index, (new_year - timedelta(seconds=1)).astimezone(ZoneInfo("Asia/Tokyo"))) == []
    assert await who(index, new_year.astimezone(ZoneInfo("America/New_York"))) == [ANNA]


async def test_missed_minutes_come_too_the_longest_overdue_first(index: DueIndex) -> None:
    await index.schedule(ANNA, at("12:10"))
    await index.schedule(BERND, at("09:30"))
    await index.schedule(BERND, at("12:11"))
    assert await who(index, at("12:10:59")) == [BERND, ANNA]
    assert await who(index, at("12:10"), limit=1) == [BERND]


async def test_scheduling_twice_is_once(index: DueIndex) -> None:
    await index.schedule(ANNA, at("12:00"))
    await index.schedule(ANNA, at("11:59:30"))
    assert await who(index, at("12:00")) == [ANNA]


async def test_done_removes_what_was_handled_and_nothing_else(index: DueIndex) -> None:
    for guid, moment in ((ANNA, "12:00"), (BERND, "12:00"), (ANNA, "12:01"), (ANNA, "13:00")):
        await index.schedule(guid, at(moment))
    page = await index.due(at("12:01"), 100)
    await index.done(due for due in page if due.guid == ANNA)
    assert await index.due(at("13:00"), 100) == [Due("20261122T1200", BERND), Due("20261122T1300", ANNA)]


async def test_two_ticks_may_remove_the_same(index: DueIndex) -> None:
    for guid in (ANNA, BERND):
        await index.schedule(guid, at("12:00"))
    page = await index.due(at("12:00"), 100)
    await index.done(page[:1])
    await index.done(page)
    assert await index.due(at("12:00"), 100) == []
    await index.done(page)
    await index.done([])


async def test_a_minute_of_hundreds_is_read_in_pages_and_removed(index: DueIndex) -> None:
    guids = sorted(uuid4().hex for _ in range(125))
    await asyncio.gather(*(index.schedule(guid, at("12:00")) for guid in guids))
    first = await index.due(at("12:00"), 110)
    assert [due.guid for due in first] == guids[:110]
    await index.done(first)
    rest = await index.due(at("12:00"), 110)
    assert [due.guid for due in rest] == guids[110:]
    await index.done(rest)
    assert await who(index, at("12:00")) == []


async def test_many_are_scheduled_together(index: DueIndex) -> None:
    guids = sorted(uuid4().hex for _ in range(250))
    await index.schedule_all((guid, at("12:00" if guid < "8" else "12:30")) for guid in guids)
    assert await who(index, at("12:29"), 1000) == [guid for guid in guids if guid < "8"]
    assert sorted(await who(index, at("12:30"), 1000)) == guids
    await index.schedule_all([])
