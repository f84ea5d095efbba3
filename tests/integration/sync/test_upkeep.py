"""What was forgotten is found and done."""

from dataclasses import replace

import pytest

from shared.model import Activity, Failure, MailboxState, Presence
from shared.sync.interfaces import Census, Trouble
from shared.sync.subscribing import SILENCE
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, appoint, guid_of, person

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


class TestBacklog:
    """What waits already is not asked for again and again."""

    async def test_while_subscribing_goes_on_no_more_is_asked_for(self, world: World) -> None:
        await world.users.add(person("anna"), ())
        world.waiting.messages["subscribe"] = 5000
        assert await world.upkeep.run() == 0
        world.waiting.messages["subscribe"] = 50
        assert await world.upkeep.run() == 1

    async def test_a_backlog_of_one_queue_does_not_keep_the_other_from_being_filled(
        self, world: World
    ) -> None:
        await world.add("anna")
        await world.users.set_read_requested(ANNA, world.now - 6 * MINUTE)
        await world.users.add(person("bernd"), ())
        world.waiting.messages["sync"] = 5000
        assert await world.upkeep.run() == 1
        assert world.queues.take() == [Order("subscribe", (guid_of("bernd"),), "upkeep")]

    async def test_the_retries_of_single_users_are_no_backlog(self, world: World) -> None:
        await world.users.add(person("anna"), ())
        world.waiting.messages["subscribe"] = 150
        await world.health.set_census(Census(world.now, retrying=100))
        assert await world.upkeep.run() == 1
        await world.health.set_census(Census(world.now, retrying=99))
        assert await world.upkeep.run() == 0

    async def test_users_are_asked_for_in_groups(self, world: World) -> None:
        for number in range(25):
            await world.users.add(person(f"a{number:02}"), ())
        await world.upkeep.run()
        assert [len(order.users) for order in world.queues.take()] == [25], "which the queue divides by 20"


class TestRefusedSubscription:
    async def test_does_not_keep_a_lost_reading_from_being_found(self, world: World) -> None:
        await world.add("anna")
        await world.users.set_subscription(ANNA, None)
        refused = Failure("X", "Refused.", world.now - HOUR, 3, world.now + MINUTE)
        await world.users.set_subscription_failure(ANNA, refused)
        await world.users.set_read_requested(ANNA, world.now - 6 * MINUTE)
        await world.upkeep.run()
        assert world.queues.take() == [Order("sync", (ANNA,), "upkeep")]


class TestPolled:
    async def test_nobody_needs_a_subscription(self, world: World) -> None:
        await world.add("anna")
        await world.users.set_subscription(ANNA, None)
        await world.users.add(person("bernd"), ())
        assert await world.upkeep.run(poll=True) == 1
        assert world.queues.take() == [Order("subscribe", (guid_of("bernd"),), "upkeep")]

    async def test_a_reading_that_got_lost_is_found(self, world: World) -> None:
        await world.add("anna")
        await world.users.set_subscription(ANNA, None)
        await world.users.set_read_requested(ANNA, world.now - 6 * MINUTE)
        await world.upkeep.run(poll=True)
        assert world.queues.take() == [Order("sync", (ANNA,), "upkeep")]


class TestCensus:
    async def test_counts_the_users_by_state(self, world: World) -> None:
        anna, bernd, carla, dora, emil, frida = await world.add(
            "anna", "bernd", "carla", "dora", "emil", "frida"
        )
        await world.users.add(person("egon"), ())
        await world.users.set_mailbox(bernd, MailboxState.NONE)
        await world.users.set_subscription(bernd, None)
        await world.users.exclude(carla)
        await world.users.set_cleared(carla)
        await world.users.set_leaving(dora)
        await world.users.set_failure(emil, Failure("X", "No.", world.now, 1, None))
        retried = Failure("X", "No.", world.now, 1, world.now + MINUTE)
        await world.users.set_subscription_failure(emil, retried)
        await world.users.set_subscription(emil, None)
        await world.users.set_subscription_failure(guid_of("egon"), retried)
        began = world.now
        world.now += SILENCE + MINUTE
        await world.users.set_last_sign(frida, world.now)
        await world.users.set_read_requested(anna, world.now)
        await world.outbox.put(anna, "anna", "1", Presence(Activity.BUSY, "Busy", world.now))
        for pending in await world.outbox.take(world.now, 10):
            await world.outbox.refuse(pending, "error 7", world.now)
        await world.upkeep.run()
        census = await world.health.census()
        assert census is not None
        assert census.seconds > 0
        assert replace(census, seconds=0) == Census(
            at=world.now,
            total=6,
            with_mailbox=3,
            without_mailbox=1,
            unresolved=1,
            excluded=1,
            failing=2,
            refused=1,
            retrying=2,
            subscribed=2,
            silent=1,
            oldest_sign=began,
            newest_sign=world.now,
            reading_since=world.now,
            presences_refused=1,
        )

    async def test_is_taken_every_quarter_of_an_hour_where_users_are_many(self, world: World) -> None:
        await world.add("anna")
        many = Census(world.now, total=5001)
        await world.health.set_census(many)
        world.now += 10 * MINUTE
        await world.upkeep.run()
        assert await world.health.census() == many
        world.now += 5 * MINUTE
        await world.upkeep.run()
        census = await world.health.census()
        assert census is not None
        assert (census.at, census.total) == (world.now, 1)


class TestExclusionBrokenOff:
    async def shown(self, world: World) -> None:
        """Anna shows an appointment, and her exclusion was killed after its first step."""
        await world.add("anna", calendar=[appoint("08:00", "11:00")])
        await world.read(ANNA)
        assert (await world.notes())[ANNA].startswith("Meeting")
        await world.users.exclude(ANNA)
        world.queues.take()

    async def test_is_brought_to_its_end(self, world: World) -> None:
        await self.shown(world)
        await world.upkeep.run()
        assert world.queues.take() == [Order("publish", (), "upkeep")]
        assert (await world.notes())[ANNA] == ""
        assert await world.agendas.get(ANNA) is None
        assert not (await world.find(ANNA)).clearing
        await world.upkeep.run()
        assert world.queues.take() == []

    async def test_does_not_stop_the_others_where_the_user_leaves_meanwhile(self, world: World) -> None:
        await self.shown(world)
        await world.users.add(person("bernd"), ())
        remove = world.farewell.agendas.remove

        async def leave(guid: str) -> None:
            await remove(guid)
            await world.users.remove(guid)

        world.farewell.agendas.remove = leave  # type: ignore[method-assign]
        assert await world.upkeep.run() == 1
        assert world.queues.users_of("subscribe") == [guid_of("bernd")]

    async def test_is_no_reason_to_leave_who_was_let_in_meanwhile_without_a_calendar(
        self, world: World
    ) -> None:
        await self.shown(world)
        remove = world.farewell.agendas.remove

        async def let_in(guid: str) -> None:
            await remove(guid)
            await world.users.include(guid)

        world.farewell.agendas.remove = let_in  # type: ignore[method-assign]
        await world.upkeep.run()
        assert Order("sync", (ANNA,), "upkeep") in world.queues.take()
