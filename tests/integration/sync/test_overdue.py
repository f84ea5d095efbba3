"""When timers stop, whatever else runs starts their work: once."""

import asyncio

import pytest

from shared.sync.interfaces import Heartbeat
from shared.sync.overdue import LONGEST_SILENCE, Overdue
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World

pytestmark = pytest.mark.integration


def process(world: World) -> Overdue:
    """What one process keeps."""
    return Overdue(world.health, world.leases, world.queues, world.clock)


async def beat(world: World, *tasks: str) -> None:
    for task in tasks:
        await world.health.beat(Heartbeat(task, world.now, 1.0, ""))


async def test_while_the_tick_runs_nothing_is_started(world: World) -> None:
    overdue = process(world)
    for _ in range(5):
        await beat(world, "tick")
        world.now += MINUTE
        assert await overdue.look() == 0
    assert world.queues.take() == []


async def test_a_tick_that_stopped_is_started_every_minute_until_it_runs(world: World) -> None:
    overdue = process(world)
    await beat(world, "tick")
    started = []
    for minute in range(1, 6):
        world.now += MINUTE
        started.append(await overdue.look())
        if minute == 4:
            await beat(world, "tick")
    assert started == [0, 0, 1, 1, 0]
    assert world.queues.take() == [Order("overdue", (), "tick")] * 2


async def test_one_that_never_ran_is_overdue(world: World) -> None:
    assert await process(world).look() == 1


async def test_of_many_instances_one_starts_it(world: World) -> None:
    looked = await asyncio.gather(*(process(world).look() for _ in range(8)))
    assert sum(looked) == 1
    assert world.queues.take() == [Order("overdue", (), "tick")]


async def test_a_process_looks_once_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    heartbeat = world.health.heartbeat

    async def look(name: str) -> Heartbeat | None:
        looks.append(name)
        return await heartbeat(name)

    monkeypatch.setattr(world.health, "heartbeat", look)
    await beat(world, "tick")
    overdue = process(world)
    for _ in range(100):
        await overdue.look()
    assert looks == ["tick"]
    world.now += MINUTE
    await overdue.look()
    assert looks == ["tick", "tick"]


async def test_the_tick_starts_the_others(world: World) -> None:
    await beat(world, "midnight", "upkeep")
    world.now += LONGEST_SILENCE["upkeep"]
    assert await process(world).start_others() == 0
    world.now += MINUTE
    assert await process(world).start_others() == 1
    assert world.queues.take() == [Order("overdue", (), "upkeep")]
    world.now += HOUR
    assert await process(world).start_others() == 2
    assert world.queues.take() == [Order("overdue", (), "midnight"), Order("overdue", (), "upkeep")]
