"""Which address of Exchange is used, and when it is searched again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import ExchangeError, ExchangeUnavailable, MailboxError, SignInRefused
from shared.ews.discovery import Found, Search
from shared.ews.location import Kept, Location, Locator, Wanted

HERE = "https://mail.example.com/EWS/Exchange.asmx"
THERE = "https://new.example.com/EWS/Exchange.asmx"
CLOUD = "https://outlook.office365.com/EWS/Exchange.asmx"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WANTED = Wanted("", "calendar@example.com")
NOT_FOUND = ExchangeUnavailable("NotDiscovered", "Nothing.", retry_after=timedelta(minutes=20))


@dataclass
class Record:
    """The table's record, as a table keeps it."""

    kept: Kept | None = None
    writes: int = 0

    async def get(self) -> Kept | None:
        kept = self.kept
        await asyncio.sleep(0)
        return kept

    async def put(self, kept: Kept) -> Kept | None:
        if kept.etag != (self.kept.etag if self.kept else ""):
            return None
        self.writes += 1
        self.kept = replace(kept, etag=str(self.writes))
        return self.kept


class World:
    """A net in which ``answer`` is what a search finds. ``now`` is the time."""

    def __init__(self, answer: Found | ExchangeError) -> None:
        self.record = Record()
        self.answer = answer
        self.now = NOW
        self.searched: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.locator = Locator(self.record, self.find, lambda: self.now)

    async def find(self, search: Search) -> Found:
        ask = search.next()
        assert ask is not None
        self.searched.append("autodiscover.xml" in ask.url)
        search.answer(404, {}, b"")
        await self.gate.wait()
        if isinstance(self.answer, ExchangeError):
            raise self.answer
        return self.answer

    def kept(self) -> Kept:
        assert self.record.kept is not None
        return self.record.kept


async def until_searching(world: World, searches: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(world.searched) < searches:  # noqa: ASYNC110
            await asyncio.sleep(0)


def found(url: str = HERE) -> Found:
    return Found(url, other=True, server_version="15.2.1748", by_http=True)


async def test_a_configured_address_bypasses_the_search() -> None:
    world = World(found())
    wanted = replace(WANTED, configured=THERE, cloud_url=CLOUD)
    assert await world.locator.locate(wanted) == Location(THERE, "configured")
    assert not await world.locator.doubt(wanted, "ErrorConnectionFailed", repeated=True)
    assert (world.searched, world.record.kept) == ([], None)


async def test_what_was_found_is_kept_with_its_steps() -> None:
    world = World(found())
    location = Location(HERE, "discovered", other=True, by_http=True, server_version="15.2.1748")
    assert await world.locator.locate(WANTED) == location
    world.now += timedelta(days=30)
    assert await world.locator.locate(replace(WANTED, address="Calendar@Example.com")) == location
    assert world.searched == [False]
    assert (world.kept().at, world.kept().code, len(world.kept().steps)) == (NOW, "", 1)


@pytest.mark.parametrize(
    "other", [replace(WANTED, internal=True), replace(WANTED, address="x@example.com")], ids=["kind", "user"]
)
async def test_what_was_found_for_another_configuration_does_not_count(other: Wanted) -> None:
    world = World(found())
    await world.locator.locate(WANTED)
    world.answer = found(THERE)
    assert (await world.locator.locate(other)).url == THERE
    assert world.searched == [False, other.internal]


async def test_a_failed_search_is_not_repeated_before_its_time() -> None:
    world = World(SignInRefused("HTTP 401", "Refused.", retry_after=timedelta(minutes=15)))
    with pytest.raises(SignInRefused):
        await world.locator.locate(WANTED)
    world.now += timedelta(minutes=5)
    with pytest.raises(ExchangeUnavailable, match="Refused") as again:
        await world.locator.locate(WANTED)
    assert (again.value.code, again.value.retry_after) == ("HTTP 401", timedelta(minutes=10))
    assert len(world.searched) == 1
    world.now += timedelta(minutes=10)
    world.answer = found()
    assert (await world.locator.locate(WANTED)).url == HERE


async def test_one_instance_searches_and_the_others_wait() -> None:
    world = World(found())
    world.gate.clear()
    first = asyncio.create_task(world.locator.locate(WANTED))
    await until_searching(world)
    for _ in range(2):
        with pytest.raises(ExchangeUnavailable) as busy:
            await world.locator.locate(WANTED)
        assert busy.value.code == "Searching"
        assert busy.value.retry_after == timedelta(seconds=5)
    world.gate.set()
    assert (await first).url == HERE
    assert (await world.locator.locate(WANTED)).url == HERE
    assert len(world.searched) == 1


async def test_two_that_begin_at_the_same_time_are_one_search() -> None:
    world = World(found())
    results = await asyncio.gather(*(world.locator.locate(WANTED) for _ in range(3)), return_exceptions=True)
    assert len(world.searched) == 1
    assert sum(isinstance(result, Location) for result in results) == 1


async def test_a_search_whose_worker_was_killed_is_made_again() -> None:
    world = World(found())
    world.gate.clear()
    killed = asyncio.create_task(world.locator.locate(WANTED))
    await until_searching(world)
    killed.cancel()
    await asyncio.wait([killed])
    world.gate.set()
    world.now += timedelta(minutes=5)
    assert (await world.locator.locate(WANTED)).url == HERE


async def test_the_clouds_own_address_is_the_fallback() -> None:
    world = World(NOT_FOUND)
    wanted = replace(WANTED, cloud_url=CLOUD)
    for _ in range(2):
        assert await world.locator.locate(wanted) == Location(CLOUD, "cloud")
    assert len(world.searched) == 1
    assert world.kept().code == "NotDiscovered"
    with pytest.raises(MailboxError):
        await World(NOT_FOUND).locator.locate(replace(WANTED, address="calendar@nowhere"))
    world.answer = found()
    world.now += timedelta(hours=2)
    assert await world.locator.doubt(wanted, "ErrorConnectionFailed", repeated=False)
    assert (await world.locator.locate(wanted)).url == HERE


@pytest.mark.parametrize(
    ("code", "repeated", "age", "again"),
    [
        ("ErrorConnectionFailed", False, timedelta(hours=1), True),
        ("ErrorConnectionFailed", False, timedelta(minutes=59), False),
        ("ErrorMailboxMoveInProgress", False, timedelta(hours=2), True),
        ("ErrorMailboxMoveInProgress", True, timedelta(minutes=10), False),
        ("HTTP 503", True, timedelta(hours=1), True),
        ("HTTP 503", True, timedelta(minutes=59), False),
        ("HTTP 503", False, timedelta(days=1), False),
        ("ErrorServerBusy", True, timedelta(days=1), False),
        ("ErrorNonExistentMailbox", True, timedelta(days=1), False),
    ],
)
async def test_searches_again_after_some_failures_of_an_old_address(
    code: str, repeated: bool, age: timedelta, again: bool
) -> None:
    world = World(found())
    await world.locator.locate(WANTED)
    world.answer = found(THERE)
    world.now += age
    assert await world.locator.doubt(WANTED, code, repeated=repeated) is again
    assert (await world.locator.locate(WANTED)).url == (THERE if again else HERE)


async def test_a_search_that_finds_the_same_is_no_move_and_lasts_another_hour() -> None:
    world = World(found())
    await world.locator.locate(WANTED)
    for minutes in (60, 59, 1):
        world.now += timedelta(minutes=minutes)
        assert not await world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False)
    assert len(world.searched) == 3


async def test_the_old_address_stays_where_nothing_else_is_found() -> None:
    world = World(found())
    await world.locator.locate(WANTED)
    world.answer = NOT_FOUND
    world.now += timedelta(hours=3)
    for _ in range(2):
        assert not await world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False)
    assert len(world.searched) == 2
    assert (await world.locator.locate(WANTED)).url == HERE
    assert world.kept().code == "NotDiscovered"
    world.now += timedelta(minutes=20)
    world.answer = found(THERE)
    assert await world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False)


async def test_nothing_is_doubted_before_anything_was_found() -> None:
    world = World(NOT_FOUND)
    assert not await world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False)
    assert world.searched == []


async def test_the_old_address_is_used_while_another_instance_searches() -> None:
    world = World(found())
    await world.locator.locate(WANTED)
    world.now += timedelta(hours=3)
    world.gate.clear()
    first = asyncio.create_task(world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False))
    await until_searching(world, 2)
    assert not await world.locator.doubt(WANTED, "ErrorConnectionFailed", repeated=False)
    assert (await world.locator.locate(WANTED)).url == HERE
    world.gate.set()
    assert not await first
    assert len(world.searched) == 2
