"""What was forgotten is found and done."""

import pytest

from shared.model import Activity, Failure, MailboxState, Presence
from shared.sync.interfaces import Trouble
from shared.sync.subscribing import SILENCE
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, guid_of, person

pytestmark = pytest.mark.integration

ANNA = guid_of("anna")


async def test_where_nothing_is_forgotten_nothing_is_asked_for(world: World) -> None:
    await world.add("anna")
    assert await world.upkeep.run() == 0
    assert world.queues.take() == []


async def test_a_silent_subscription_is_renewed(world: World) -> None:
    await world.add("anna")
    world.now += SILENCE
    assert await world.upkeep.run() == 0
    world.now += MINUTE
    assert await world.upkeep.run() == 1
    assert world.queues.take() == [Order("subscribe", (ANNA,), "upkeep")]


async def test_who_was_never_subscribed_is(world: World) -> None:
    await world.users.add(person("anna"), ())
    assert await world.upkeep.run() == 1
    assert world.queues.users_of("subscribe") == [ANNA]


async def test_a_reading_that_never_began_is_asked_for(world: World) -> None:
    await world.add("anna")
    await world.users.set_read_requested(ANNA, world.now)
    world.now += 6 * MINUTE
    await world.upkeep.run()
    assert world.queues.take() == [Order("sync", (ANNA,), "upkeep")]


async def test_who_is_inactive_or_has_no_mailbox_is_left_alone(world: World) -> None:
    (anna, bernd) = await world.add("anna", "bernd")
    await world.users.set_leaving(anna)
    await world.users.set_mailbox(bernd, MailboxState.NONE)
    world.now += 2 * SILENCE
    assert await world.upkeep.run() == 0
    assert world.queues.take() == []


@pytest.mark.parametrize(
    ("subscribed", "minutes", "queue"),
    [
        (True, 6, "sync"),
        (True, 4, ""),
        (True, -10, ""),
        (True, None, ""),
        (False, 6, "subscribe"),
        (False, 4, ""),
        (False, -10, ""),
        (False, None, ""),
    ],
)
async def test_a_failed_user_is_tried_again_only_where_the_retry_got_lost(
    world: World, subscribed: bool, minutes: int | None, queue: str
) -> None:
    await world.add("anna")
    if not subscribed:
        await world.users.set_subscription(ANNA, None)
    retry_at = world.now - minutes * MINUTE if minutes is not None else None
    fail = world.users.set_failure if subscribed else world.users.set_subscription_failure
    await fail(ANNA, Failure("X", "Failed.", world.now - HOUR, 1, retry_at))
    await world.upkeep.run()
    assert [order.queue for order in world.queues.take()] == ([queue] if queue else [])


async def test_while_exchange_is_away_the_work_that_waits_is_not_multiplied(world: World) -> None:
    await world.add("anna")
    world.now += 2 * SILENCE
    retry_at = world.now + MINUTE
    await world.health.set_trouble("exchange", Trouble("HTTP 500", "Down.", world.now, 3, retry_at))
    assert await world.upkeep.run() == 0
    world.now = retry_at + 4 * MINUTE
    assert await world.upkeep.run() == 0
    world.now = retry_at + 5 * MINUTE  # Nobody has tried again: the work got lost.
    assert await world.upkeep.run() == 1


async def test_what_waits_for_the_pbx_is_published(world: World) -> None:
    await world.outbox.put(ANNA, "anna", "1", Presence(Activity.BUSY, "Busy", world.now + HOUR))
    await world.upkeep.run()
    assert world.queues.take() == [Order("publish", (), "upkeep")]
