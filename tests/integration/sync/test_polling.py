"""Where Exchange can't reach the service everybody is read every few minutes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.ews.notifications import Notification
from shared.model import Failure, MailboxState
from shared.sync.interfaces import Census, Progress, Trouble
from tests.integration.sync.world import MINUTE, World, guid_of

pytestmark = pytest.mark.integration

EVERY = 15 * MINUTE
ANNA, BERND, CARLA = guid_of("anna"), guid_of("bernd"), guid_of("carla")


@pytest.fixture(autouse=True)
async def three(world: World) -> None:
    await world.add("anna", "bernd", "carla")


def asked(world: World) -> list[str]:
    return sorted(guid for order in world.queues.take() for guid in order.users)


async def test_everybody_is_read_as_often_as_configured(world: World) -> None:
    begin, read_at = world.now, []
    for _ in range(13):
        if await world.polling.run(EVERY):
            read_at.append((world.now - begin) / MINUTE)
            assert asked(world) == [ANNA, BERND, CARLA]
        world.now += 5 * MINUTE
    assert read_at == [0, 15, 30, 45, 60]


async def test_a_timer_that_comes_some_seconds_early_or_late_skips_no_round(world: World) -> None:
    read = 0
    for seconds in (0, 5, -3, 2, -6, 0, 1):
        world.now += timedelta(seconds=seconds)
        read += bool(await world.polling.run(5 * MINUTE))
        world.now += 5 * MINUTE
    assert read == 7


async def test_overlapping_runs_are_one(world: World) -> None:
    await asyncio.gather(*(world.polling.run(EVERY) for _ in range(4)))
    assert asked(world) == [ANNA, BERND, CARLA]


async def test_subscriptions_end_by_being_forgotten(world: World) -> None:
    await world.polling.run(EVERY)
    assert (await world.find(ANNA)).subscription is None
    told = Notification("S anna", events=("ModifiedEvent",))
    assert not await world.receiver.receive(ANNA, [told]), "Exchange is told to end it"


async def test_who_has_no_mailbox_or_fails_for_good_waits_for_the_day(world: World) -> None:
    await world.users.set_mailbox(ANNA, MailboxState.NONE)
    denied = Failure("ErrorAccessDenied", "Exchange denies access.", world.now, 1, None)
    await world.users.set_failure(BERND, denied)
    await world.polling.run(EVERY)
    assert asked(world) == [CARLA]


async def test_a_killed_round_is_resumed_also_while_work_waits(world: World) -> None:
    await world.health.set_progress("poll", Progress("x", 11, 1, world.now - 5 * MINUTE))
    world.waiting.messages["sync"] = 10_000
    assert await world.polling.run(EVERY) == 2
    assert asked(world) == [BERND, CARLA]


async def test_while_the_former_rounds_readings_wait_no_other_begins(world: World) -> None:
    world.waiting.messages["sync"] = 51
    assert await world.polling.run(EVERY) == 0
    await world.health.set_census(Census(world.now, retrying=1))
    assert await world.polling.run(EVERY) == 3, "one of them is the retry of a single user"


async def test_while_exchange_is_away_no_round_begins(world: World) -> None:
    trouble = Trouble("HTTP 500", "Down.", world.now, 1, world.now + MINUTE)
    await world.health.set_trouble("exchange", trouble)
    assert await world.polling.run(EVERY) == 0
    await world.health.set_trouble("exchange", None)
    assert await world.polling.run(EVERY) == 3


async def test_a_round_is_spread_over_half_of_the_time_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = replace(await world.find(ANNA), subscription=None)

    async def crowd(partition: str) -> object:
        for _ in range(6000 if partition == "a" else 0):
            yield anna

    monkeypatch.setattr(world.users, "in_partition", crowd)
    await world.health.set_census(Census(world.now, total=60_000))
    await world.polling.run(10 * MINUTE)
    last = max(order.delay for order in world.queues.take())
    assert last == pytest.approx(MINUTE / 2, abs=timedelta(seconds=3)), "6,000 of 60,000 in 5 minutes"
