"""What several instances owe each other while they work for many users."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import ExchangeBusy, MailboxError
from shared.model import CalendarUser
from shared.sync.interfaces import Grant, Pause, Trouble
from tests.integration.sync.world import World

pytestmark = pytest.mark.integration

SECONDS = timedelta(seconds=1)


async def test_what_another_instance_is_told_stops_this_one_after_the_user_it_is_at(world: World) -> None:
    guids = await world.add(*"abcdefgh")
    done: list[str] = []

    async def act(user: CalendarUser) -> None:
        if not done:
            await world.budget.release(Grant(()), world.now, 40 * SECONDS)
        done.append(user.user.guid)

    for _ in range(5):
        await world.budget.acquire(1, world.now)  # so that one slot is left
    rest = await world.throttle.each(guids, act)
    assert done == guids[:1]
    assert rest.users == {40 * SECONDS: guids[:0:-1]}


async def test_the_others_are_told_at_once_and_not_when_the_slowest_is_through(world: World) -> None:
    guids = await world.add(*"ab")
    begun, told = asyncio.Event(), asyncio.Event()

    async def act(user: CalendarUser) -> None:
        if user.user.guid == guids[0]:
            await begun.wait()
            raise ExchangeBusy("ErrorServerBusy", "Busy.", retry_after=40 * SECONDS)
        begun.set()
        async with asyncio.timeout(60):
            while await world.budget.pause(world.now) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        told.set()

    await world.throttle.each(guids, act)
    assert told.is_set()
    assert await world.budget.acquire(1, world.now) == Pause(40 * SECONDS)


async def test_a_grant_is_given_up_before_its_slots_end(world: World) -> None:
    guids = await world.add(*"abcdefgh")
    done: list[str] = []

    async def act(user: CalendarUser) -> None:
        done.append(user.user.guid)
        world.now += timedelta(seconds=50)

    rest = await world.throttle.each(guids, act)
    assert len(done) < len(guids)
    assert set(done) | set(rest.users[timedelta(0)]) == set(guids)
    assert await world.budget.pause(world.now) is None


async def test_of_several_instances_one_tries_an_exchange_that_failed(world: World) -> None:
    """A wrong password that each of them tried would lock the account."""
    guids = await world.add(*"abcdef")
    await world.health.set_trouble("exchange", Trouble("HTTP 401", "No.", world.now, 1, world.now))
    begun: list[str] = []
    let_go = asyncio.Event()

    async def act(user: CalendarUser) -> None:
        begun.append(user.user.guid)
        await let_go.wait()

    instances = [asyncio.create_task(world.throttle.each([guid], act)) for guid in guids]
    async with asyncio.timeout(60):
        done, waiting = await asyncio.wait(instances, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < len(guids) - 1:
            done, waiting = await asyncio.wait(instances, timeout=0.1)
    assert len(begun) == len(waiting) == 1
    assert {task.result().postponed for task in done} == {1}
    let_go.set()
    await asyncio.gather(*instances)
    assert await world.health.trouble("exchange") is None, "the one that went ahead found it well"
    rest = await world.throttle.each(guids, act)
    assert rest.users == {}
    assert len(begun) == 1 + len(guids)


async def test_what_became_of_the_users_is_counted(world: World) -> None:
    guids = await world.add(*"abcd")

    async def act(user: CalendarUser) -> None:
        if user.user.guid == guids[0]:
            raise MailboxError("X", "Gone.")
        if user.user.guid == guids[1]:
            raise ExchangeBusy("ErrorServerBusy", "Busy.", retry_after=40 * SECONDS)

    for _ in range(5):
        await world.budget.acquire(1, world.now)  # so that one slot is left
    rest = await world.throttle.each(guids, act)
    assert (rest.failed, rest.postponed, rest.unavailable) == (1, 3, True)
