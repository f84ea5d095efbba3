"""Mailboxes are found and subscribed to, and then read."""

from datetime import timedelta

import pytest

from shared.errors import ExchangeUnavailable, MailboxError
from shared.model import Failure, MailboxState, Subscription
from shared.sync.subscribing import SILENCE
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import MINUTE, World, appoint, guid_of, person

pytestmark = pytest.mark.integration

ANNA = guid_of("anna")
REVIEW = appoint("08:30", "10:00", "Review")


async def add_anna(world: World, *candidates: str) -> None:
    await world.users.add(person("anna"), candidates or ("anna@example.com",))


async def subscribe(world: World, *guids: str) -> None:
    await world.subscriber.subscribe(guids or (ANNA,), "test")


async def test_a_new_user_is_found_subscribed_and_then_read(world: World) -> None:
    await add_anna(world)
    world.exchange.calendars["anna@example.com"] = []
    await subscribe(world)
    found = await world.find(ANNA)
    assert (found.mailbox, found.mailbox_state) == ("anna@example.com", MailboxState.FOUND)
    assert found.subscription == Subscription("subscription 1", world.now, world.now)
    assert found.subscribing_since == world.now
    assert world.exchange.callbacks == {"anna@example.com": world.callbacks.address_of(ANNA)}
    assert world.queues.take() == [Order("sync", (ANNA,), "test")]


@pytest.mark.parametrize("comes_again", [True, False])
async def test_a_reading_that_was_not_asked_for_any_more_is_asked_for_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, comes_again: bool
) -> None:
    """The message comes again, to a subscription that lives; or it is lost, and the upkeep finds the mark."""

    class KilledError(Exception):
        pass

    async def kill(*_: object) -> None:
        raise KilledError

    await add_anna(world)
    world.exchange.calendars["anna@example.com"] = []
    with monkeypatch.context() as patched:
        patched.setattr(type(world.queues), "read", kill)
        with pytest.raises(KilledError):
            await subscribe(world)
    if comes_again:
        await subscribe(world)
    else:
        world.now += 10 * MINUTE
        await world.upkeep.run()
    assert world.queues.users_of("sync") == [ANNA]
    await world.read(ANNA)
    world.queues.take()
    await subscribe(world)
    assert world.queues.take() == [], "who was read is not read again"


async def test_the_first_candidate_that_exchange_knows_wins(world: World) -> None:
    await add_anna(world, "unknown@example.com", "alias@example.com", "other@example.com")
    world.exchange.aliases["alias@example.com"] = "anna.weiss@example.com"
    world.exchange.calendars["other@example.com"] = []
    await subscribe(world)
    assert (await world.find(ANNA)).mailbox == "anna.weiss@example.com"
    assert world.exchange.asked == [
        ("find_mailbox", "unknown@example.com"),
        ("find_mailbox", "alias@example.com"),
        ("subscribe", "anna.weiss@example.com"),
    ]


class TestWithoutMailbox:
    async def test_is_stored_as_such_and_not_read(self, world: World) -> None:
        await add_anna(world, "one@example.com", "two@example.com")
        await subscribe(world)
        found = await world.find(ANNA)
        assert (found.mailbox, found.mailbox_state) == ("", MailboxState.NONE)
        assert found.subscription is None
        assert found.failure is None
        assert world.queues.take() == []

    async def test_is_found_when_there_is_one(self, world: World) -> None:
        await add_anna(world)
        await subscribe(world)
        world.exchange.calendars["anna@example.com"] = []
        await subscribe(world)
        assert (await world.find(ANNA)).mailbox_state is MailboxState.FOUND

    async def test_what_a_former_mailbox_showed_is_cleared(self, world: World) -> None:
        await world.add("anna", calendar=[REVIEW])
        await world.read(ANNA)
        await world.notes()
        await world.users.update(person("anna"), ("new@example.com",), resolve_again=True)
        world.queues.take()
        await subscribe(world)
        assert await world.agendas.get(ANNA) is None
        assert world.queues.take() == [Order("publish", (ANNA,), "test")]
        assert await world.notes() == {ANNA: ""}


async def test_a_living_subscription_is_not_renewed(world: World) -> None:
    await world.add("anna")
    world.now += SILENCE - timedelta(seconds=1)
    await subscribe(world)
    assert world.exchange.asked == []
    assert world.queues.take() == []


async def test_a_silent_subscription_is_renewed_and_the_mailbox_read(world: World) -> None:
    await world.add("anna")
    world.now += SILENCE
    await subscribe(world)
    assert world.exchange.asked == [("subscribe", "anna@example.com")]
    assert (await world.find(ANNA)).subscription == Subscription("subscription 1", world.now, world.now)
    assert world.queues.users_of("sync") == [ANNA]


async def test_while_exchange_is_asked_that_is_noted(world: World) -> None:
    await world.add("anna")
    await world.users.set_subscription(ANNA, None)
    seen = []

    async def look(_: str) -> None:
        seen.append((await world.find(ANNA)).subscribing_since)

    world.exchange.before_answer = look
    await subscribe(world)
    assert seen == [world.now]


async def test_where_the_subscription_is_refused_the_calendar_is_read(world: World) -> None:
    await add_anna(world)
    world.exchange.calendars["anna@example.com"] = []
    world.exchange.refusing["anna@example.com"] = MailboxError("X", "Refused.", retry_after=5 * MINUTE)
    await subscribe(world)
    found = await world.find(ANNA)
    assert found.subscription is None
    assert world.queues.take() == [
        Order("sync", (ANNA,), "test"),
        Order("subscribe", (ANNA,), "test", 5 * MINUTE),
    ]
    await world.read(ANNA)
    refused = (await world.find(ANNA)).subscription_failure
    assert refused == Failure("X", "Refused.", world.now, 1, world.now + 5 * MINUTE), "also when it was read"
    world.now += 5 * MINUTE
    await subscribe(world)
    assert [order.delay for order in world.queues.take()] == [timedelta(0), 10 * MINUTE], "it backs off"
    world.exchange.refusing.clear()
    await subscribe(world)
    assert (await world.find(ANNA)).subscription_failure is None


async def test_a_mailbox_that_is_gone_leaves_no_failure_behind(world: World) -> None:
    await world.add("anna")
    await world.users.set_failure(ANNA, Failure("X", "Gone.", world.now, 1, None))
    world.exchange.calendars.clear()
    await subscribe(world)
    found = await world.find(ANNA)
    assert (found.mailbox_state, found.failure) == (MailboxState.NONE, None)


async def test_where_exchange_is_polled_mailboxes_are_found_and_not_subscribed_to(world: World) -> None:
    await add_anna(world, "alias@example.com")
    world.exchange.aliases["alias@example.com"] = "anna@example.com"
    assert (await world.subscriber.subscribe([ANNA], "test", poll=True)).subscriptions == 0
    found = await world.find(ANNA)
    assert (found.mailbox, found.mailbox_state) == ("anna@example.com", MailboxState.FOUND)
    assert (found.subscription, found.subscribing_since) == (None, None)
    assert world.exchange.count("subscribe") == 0
    assert world.queues.take() == [Order("sync", (ANNA,), "test")]


async def test_one_who_fails_does_not_stop_another(world: World) -> None:
    guids = await world.add("anna", "bernd")
    for guid in guids:
        await world.users.set_subscription(guid, None)
    world.exchange.failing["anna@example.com"] = MailboxError("X", "Gone.")
    await subscribe(world, *guids)
    assert (await world.find(guids[1])).subscription is not None
    assert (await world.find(guids[0])).subscription_failure is not None


async def test_where_exchange_is_down_all_are_asked_for_later(world: World) -> None:
    await add_anna(world)
    world.exchange.down = ExchangeUnavailable("HTTP 500", "Down.", retry_after=MINUTE)
    await subscribe(world)
    assert world.queues.take() == [Order("subscribe", (ANNA,), "test", MINUTE)]
    assert (await world.find(ANNA)).mailbox_state is MailboxState.UNRESOLVED


async def test_who_leaves_meanwhile_is_not_resurrected(world: World) -> None:
    await world.add("anna")
    await world.users.set_subscription(ANNA, None)
    world.exchange.before_answer = lambda _: world.users.remove(ANNA)
    await subscribe(world)
    assert await world.users.get(ANNA) is None


class TestLastingFailure:
    """A mailbox that failed for good may have another address by now."""

    @pytest.fixture(autouse=True)
    async def failing(self, world: World) -> None:
        await world.add("anna")
        world.exchange.failing["anna@example.com"] = MailboxError("ErrorNonExistentMailbox", "None.")
        await world.read(ANNA)
        world.exchange.failing.clear()
        world.exchange.asked.clear()

    async def test_is_resolved_anew(self, world: World) -> None:
        del world.exchange.calendars["anna@example.com"]
        world.exchange.aliases["anna@example.com"] = "anna.weiss@example.com"
        await subscribe(world)
        found = await world.find(ANNA)
        assert found.mailbox == "anna.weiss@example.com"
        assert found.subscription == Subscription("subscription 1", world.now, world.now)
        assert found.failure is not None, "until it is read"
        await world.read(ANNA)
        assert (await world.find(ANNA)).failure is None
        assert world.queues.users_of("sync") == [ANNA]

    async def test_of_the_same_mailbox_keeps_the_subscription(self, world: World) -> None:
        await subscribe(world)
        assert world.exchange.asked == [("find_mailbox", "anna@example.com")]
        assert world.queues.users_of("sync") == [ANNA]
