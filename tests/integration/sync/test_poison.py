"""Work that was given up is shown, and tried again."""

import pytest

from shared.model import Failure
from shared.sync.interfaces import Heartbeat
from tests.integration.sync.world import MINUTE, World

pytestmark = pytest.mark.integration

TEXT = "Work on this user failed several times; see the log. It is tried again."


async def test_its_users_are_shown_as_failing_and_tried_later(world: World) -> None:
    anna, bernd = await world.add("anna", "bernd")
    await world.users.remove(anna)
    await world.poison.take([anna, bernd], "sync")
    failure = Failure("Poison", TEXT, world.now, 1, world.now + 15 * MINUTE)
    assert (await world.find(bernd)).failure == failure
    assert await world.users.get(anna) is None
    await world.upkeep.run()
    assert world.queues.take() == []
    world.now += 21 * MINUTE
    await world.upkeep.run()
    assert world.queues.users_of("sync") == [bernd]


async def test_it_is_shown_also_where_it_names_nobody(world: World) -> None:
    await world.poison.take([], "directory")
    beat = await world.health.heartbeat("directory-poison")
    assert beat == Heartbeat("directory-poison", world.now, 0.0, "A message was given up; see the log.")


async def test_of_subscribing_says_so_and_does_not_touch_the_readings_failure(world: World) -> None:
    (anna,) = await world.add("anna")
    await world.poison.take([anna], "subscribe")
    found = await world.find(anna)
    failure = Failure("Poison", TEXT, world.now, 1, world.now + 15 * MINUTE)
    assert (found.failure, found.subscription_failure) == (None, failure)
