"""What Exchange reports: who is read again, and which subscription goes on."""

import pytest

from shared.ews.notifications import Notification
from shared.model import Subscription
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import MINUTE, World, guid_of

pytestmark = pytest.mark.integration

ANNA = guid_of("anna")
CHANGE = Notification("S anna", events=("ModifiedEvent", "ModifiedEvent"))
HEARTBEAT = Notification("S anna", events=("StatusEvent",))


@pytest.fixture(autouse=True)
async def anna(world: World) -> None:
    await world.add("anna")


async def test_a_change_asks_for_a_reading_a_moment_later(world: World) -> None:
    assert await world.receiver.receive(ANNA, [CHANGE])
    (order,) = world.queues.take()
    assert (order.queue, order.users) == ("sync", (ANNA,))
    assert 0 < order.delay.total_seconds() <= 5
    assert (await world.find(ANNA)).read_requested_at == world.now
    assert world.exchange.asked == []


async def test_a_burst_asks_once(world: World) -> None:
    for _ in range(3):
        assert await world.receiver.receive(ANNA, [CHANGE, CHANGE])
        world.now += MINUTE / 60
    assert world.queues.users_of("sync") == [ANNA]


async def test_a_change_after_the_reading_began_asks_again(world: World) -> None:
    await world.receiver.receive(ANNA, [CHANGE])
    await world.read(ANNA)
    await world.receiver.receive(ANNA, [CHANGE])
    assert world.queues.users_of("sync") == [ANNA, ANNA]


async def test_a_mark_whose_message_got_lost_is_not_believed_for_ever(world: World) -> None:
    await world.receiver.receive(ANNA, [CHANGE])
    world.now += 2 * MINUTE
    await world.receiver.receive(ANNA, [CHANGE])
    assert world.queues.users_of("sync") == [ANNA, ANNA]
    assert (await world.find(ANNA)).read_requested_at == world.now


async def test_the_message_goes_before_the_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark without a message would keep the next notification from asking."""

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.users, "set_read_requested", killed)
    with pytest.raises(KeyboardInterrupt):
        await world.receiver.receive(ANNA, [CHANGE])
    assert world.queues.users_of("sync") == [ANNA]


class TestHeartbeat:
    async def test_asks_for_no_reading(self, world: World) -> None:
        assert await world.receiver.receive(ANNA, [HEARTBEAT])
        assert world.queues.take() == []

    async def test_is_stored_every_ten_minutes_at_most(self, world: World) -> None:
        begin = world.now
        for minutes, stored in ((9, 0), (10, 10), (19, 10), (20, 20)):
            world.now = begin + minutes * MINUTE
            assert await world.receiver.receive(ANNA, [HEARTBEAT])
            subscription = (await world.find(ANNA)).subscription
            assert subscription is not None
            assert subscription.last_sign == begin + stored * MINUTE

    async def test_a_change_is_a_sign_of_life_too(self, world: World) -> None:
        world.now += 10 * MINUTE
        await world.receiver.receive(ANNA, [CHANGE])
        subscription = (await world.find(ANNA)).subscription
        assert subscription is not None
        assert subscription.last_sign == world.now


class TestUnwanted:
    async def test_of_an_unknown_user_is_ended(self, world: World) -> None:
        assert not await world.receiver.receive("f" * 32, [CHANGE])
        assert world.queues.take() == []

    async def test_of_who_is_leaving_is_ended(self, world: World) -> None:
        await world.users.set_leaving(ANNA)
        assert not await world.receiver.receive(ANNA, [CHANGE])
        assert world.queues.take() == []

    async def test_of_who_leaves_meanwhile_is_ended(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark = world.users.set_read_requested

        async def leave_first(*arguments: object) -> None:
            await world.users.remove(ANNA)
            await mark(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(world.users, "set_read_requested", leave_first)
        assert not await world.receiver.receive(ANNA, [CHANGE])

    async def test_superseded_is_ended_and_no_sign_of_life(self, world: World) -> None:
        begin = world.now
        world.now += 30 * MINUTE
        assert not await world.receiver.receive(ANNA, [Notification("S old", events=("ModifiedEvent",))])
        assert world.queues.take() == []
        subscription = (await world.find(ANNA)).subscription
        assert subscription == Subscription("S anna", begin, begin)

    async def test_superseded_beside_the_present_one_does_not_hide_its_change(self, world: World) -> None:
        old = Notification("S old", events=("ModifiedEvent",))
        assert not await world.receiver.receive(ANNA, [old, CHANGE])
        assert world.queues.users_of("sync") == [ANNA]

    async def test_without_any_subscription_is_ended(self, world: World) -> None:
        await world.users.set_subscription(ANNA, None)
        assert not await world.receiver.receive(ANNA, [CHANGE])
        assert not await world.receiver.receive(ANNA, [Notification("", events=("ModifiedEvent",))])


class TestFirst:
    """A subscription's first notification may come before Exchange's answer to Subscribe is stored."""

    async def test_is_kept(self, world: World) -> None:
        await world.users.set_subscription(ANNA, None)
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        world.now += MINUTE
        assert await world.receiver.receive(ANNA, [Notification("S new", events=("CreatedEvent",))])
        assert world.queues.users_of("sync") == [ANNA]

    async def test_is_kept_while_the_former_one_is_still_stored(self, world: World) -> None:
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        assert await world.receiver.receive(ANNA, [Notification("S new", events=("StatusEvent",))])

    async def test_is_no_sign_of_life_of_the_former_one(self, world: World) -> None:
        """Where the worker is killed before it stores the new one, the silence of the former must show."""
        begin = world.now
        world.now += 72 * MINUTE
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        assert await world.receiver.receive(ANNA, [Notification("S new", events=("ModifiedEvent",))])
        assert (await world.find(ANNA)).subscription == Subscription("S anna", begin, begin)
        await world.subscriber.subscribe([ANNA], "test")
        subscription = (await world.find(ANNA)).subscription
        assert subscription is not None
        assert subscription.id != "S anna"

    async def test_is_kept_although_another_worker_has_stored_its_own(self, world: World) -> None:
        for _ in range(2):
            await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        await world.users.set_subscription(ANNA, Subscription("S 1", world.now, world.now))
        assert await world.receiver.receive(ANNA, [Notification("S 2", events=("ModifiedEvent",))])
        world.now += 2 * MINUTE
        assert not await world.receiver.receive(ANNA, [Notification("S 2", events=("ModifiedEvent",))])

    async def test_is_kept_although_the_former_one_has_ended(self, world: World) -> None:
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        await world.receiver.receive(ANNA, [Notification("S anna", error="ErrorReadEventsFailed")])
        assert await world.receiver.receive(ANNA, [Notification("S 2", events=("ModifiedEvent",))])

    async def test_the_former_ones_end_is_not_that_of_the_new_one(self, world: World) -> None:
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        new = Subscription("S 2", world.now, world.now)
        await world.users.set_subscription(ANNA, new)
        assert not await world.receiver.receive(ANNA, [Notification("S anna", error="ErrorReadEventsFailed")])
        assert (await world.find(ANNA)).subscription == new
        assert world.queues.take() == []
        assert await world.receiver.receive(ANNA, [HEARTBEAT])

    async def test_is_not_waited_for_for_ever(self, world: World) -> None:
        await world.users.begin_subscribing(ANNA, "anna@example.com", world.now)
        world.now += 2 * MINUTE
        assert not await world.receiver.receive(ANNA, [Notification("S new", events=("CreatedEvent",))])


class TestError:
    ERROR = Notification("S anna", error="ErrorReadEventsFailed")

    async def test_ends_the_subscription_and_asks_for_another(self, world: World) -> None:
        assert not await world.receiver.receive(ANNA, [self.ERROR])
        assert (await world.find(ANNA)).subscription is None
        assert world.queues.take() == [Order("subscribe", (ANNA,), "subscription ended")]

    async def test_of_a_superseded_one_asks_for_nothing(self, world: World) -> None:
        old = Notification("S old", error="ErrorReadEventsFailed")
        assert not await world.receiver.receive(ANNA, [old])
        assert (await world.find(ANNA)).subscription is not None
        assert world.queues.take() == []

    async def test_beside_a_change_loses_nothing(self, world: World) -> None:
        world.now += 30 * MINUTE
        assert not await world.receiver.receive(ANNA, [CHANGE, self.ERROR])
        assert world.queues.users_of("sync") == world.queues.users_of("subscribe") == [ANNA]
        assert (await world.find(ANNA)).subscription is None
