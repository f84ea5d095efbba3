"""Push notifications: what comes when, and what becomes of a subscription.

A minute is a tenth of a second here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dev.exchange import ExchangeSimulator
from dev.exchange.push import retry_times
from tests.unit.dev.exchange.client import Client, M, T, code, envelope, subscribe
from tests.unit.dev.exchange.conftest import MINUTE, Listener, events

IDLE = 1440


@pytest.fixture
async def client(exchange: ExchangeSimulator) -> AsyncIterator[Client]:
    async with Client(exchange) as connected:
        yield connected


async def gone(exchange: ExchangeSimulator) -> None:
    """Waits until no subscription is left."""
    tasks = [subscription.task for subscription in exchange.subscriptions if subscription.task]
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert list(exchange.subscriptions) == []


async def test_an_action_gives_an_item_and_a_folder_event(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    await client.ask(subscribe(listener.url, frequency=IDLE))
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await listener.wait_for(1)
    exchange.change_appointment("anna", "1", by=15)
    await listener.wait_for(2)
    exchange.cancel_appointment("anna", "1")
    seen = [events(notification) for notification in await listener.wait_for(3)]
    assert seen == [
        ["CreatedEvent item", "ModifiedEvent folder"],
        ["ModifiedEvent item", "ModifiedEvent folder"],
        ["MovedEvent item", "ModifiedEvent folder"],
    ]


async def test_a_deletion_is_a_move_to_deleted_items(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    item = exchange.add_appointment("anna", start="2026-11-23T10:00")["item_id"]
    await client.ask(subscribe(listener.url, frequency=IDLE))
    exchange.cancel_appointment("anna", "1")
    (notification,) = await listener.wait_for(1)
    moved = notification.find(f".//{T}MovedEvent")
    assert moved is not None
    anna = exchange.directory.named("anna")
    identifiers = {part.tag.removeprefix(T): part.get("Id") for part in moved if part.get("Id")}
    assert identifiers["OldItemId"] == item != identifiers["ItemId"]
    assert identifiers["OldParentFolderId"] == anna.opaque_id("folder:calendar")
    assert identifiers["ParentFolderId"] == anna.opaque_id("folder:deleteditems")


async def test_watermarks_are_chained_from_the_subscription_on(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    answer = await client.ask(subscribe(listener.url, frequency=IDLE))
    mark = answer.findtext(f".//{M}Watermark")
    identifier = answer.findtext(f".//{M}SubscriptionId")
    for number in range(1, 4):
        exchange.add_appointment("anna", start="2026-11-23T10:00")
        notification = (await listener.wait_for(number))[-1]
        assert notification.findtext(f".//{T}SubscriptionId") == identifier
        assert notification.findtext(f".//{T}PreviousWatermark") == mark
        marks = [element.text for element in notification.iter(f"{T}Watermark")]
        assert len(set(marks)) == 2
        assert mark not in marks
        mark = marks[-1]


async def test_the_request_looks_like_exchanges(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    await client.ask(subscribe(listener.url, frequency=IDLE))
    exchange.subscriptions.send_heartbeats()
    await listener.wait_for(1)
    headers = listener.headers[0]
    assert headers["content-type"] == "text/xml; charset=utf-8"
    assert headers["soapaction"].endswith("/messages/SendNotification")


async def test_only_the_mailboxs_own_subscribers_and_kinds_are_told(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    await client.ask(subscribe(listener.url, frequency=IDLE, events="CreatedEvent"))
    exchange.add_appointment("bob", start="2026-11-23T10:00")
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    exchange.cancel_appointment("anna", "1")
    exchange.add_appointment("anna", start="2026-11-23T11:00")
    (notification,) = await listener.wait_for(1)
    assert events(notification) == ["CreatedEvent item"] * 2


async def test_a_heartbeat_comes_every_status_frequency_while_nothing_happens(
    client: Client, listener: Listener
) -> None:
    begun = asyncio.get_running_loop().time()
    await client.ask(subscribe(listener.url, frequency=2))
    notifications = await listener.wait_for(3)
    assert [events(notification) for notification in notifications] == [["StatusEvent"]] * 3
    for number, arrived in enumerate(listener.times, start=1):
        assert arrived - begun > 2 * number * MINUTE


async def test_an_event_puts_the_heartbeat_off(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    await client.ask(subscribe(listener.url, frequency=8))
    await asyncio.sleep(4 * MINUTE)
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    first, second = await listener.wait_for(2)
    assert events(first)[0] == "CreatedEvent item"
    assert events(second) == ["StatusEvent"]
    assert listener.times[1] - listener.times[0] > 7.9 * MINUTE


async def test_a_failure_is_retried_ever_more_slowly_and_then_forgotten(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    listener.answers = [(500, "OK")]
    await client.ask(subscribe(listener.url, frequency=4))
    begun = asyncio.get_running_loop().time()
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await gone(exchange)
    # At once and after 0.5, 1, 2 and 4 minutes; 8 would be more than the status frequency.
    assert len(listener.times) == 5
    for arrived, published in zip(listener.times, (0, 0.5, 1, 2, 4), strict=True):
        assert arrived - begun > published * MINUTE
    assert len(set(listener.received)) == 1
    assert exchange.statistics.dropped_subscriptions == 1
    assert exchange.statistics.failed_notifications == 5


@pytest.mark.parametrize(
    ("frequency", "times"),
    [(30, [0.5, 1, 2, 4, 8, 16]), (32, [0.5, 1, 2, 4, 8, 16, 32]), (1, [0.5, 1])],
)
def test_retries_follow_the_published_table(frequency: int, times: list[float]) -> None:
    assert list(retry_times(frequency)) == times


@pytest.mark.parametrize("answer", [(200, "Maybe"), (202, "OK"), (302, "OK"), (404, "OK")])
async def test_only_ok_counts_as_an_answer(
    exchange: ExchangeSimulator, client: Client, listener: Listener, answer: tuple[int, str]
) -> None:
    listener.answers = [answer, (200, "OK")]
    await client.ask(subscribe(listener.url, frequency=10))
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await listener.wait_for(2)
    assert listener.received[0] == listener.received[1]
    assert len(list(exchange.subscriptions)) == 1


async def test_events_during_a_retry_are_added_to_it(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    listener.answers = [(500, "OK"), (200, "OK")]
    await client.ask(subscribe(listener.url, frequency=IDLE, events="CreatedEvent MovedEvent"))
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await listener.wait_for(1)
    exchange.cancel_appointment("anna", "1")
    _, second = await listener.wait_for(2)
    assert events(second) == ["CreatedEvent item", "MovedEvent item"]
    await asyncio.sleep(2 * MINUTE)
    assert len(listener.received) == 2


async def test_an_unreachable_listener_loses_its_subscription(
    exchange: ExchangeSimulator, client: Client
) -> None:
    await client.ask(subscribe("http://127.0.0.1:1/notify", frequency=1))
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await gone(exchange)
    assert exchange.statistics.dropped_subscriptions == 1


async def test_the_answer_unsubscribe_ends_it(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    listener.answers = [(200, "Unsubscribe")]
    await client.ask(subscribe(listener.url, frequency=1))
    await listener.wait_for(1)
    await gone(exchange)
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await asyncio.sleep(2 * MINUTE)
    assert len(listener.received) == 1
    assert exchange.statistics.dropped_subscriptions == 0


async def test_lost_subscriptions_are_lost_in_silence(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    await client.ask(subscribe(listener.url, frequency=1))
    assert exchange.subscriptions.lose() == 1
    exchange.add_appointment("anna", start="2026-11-23T10:00")
    await asyncio.sleep(2 * MINUTE)
    assert listener.received == []


async def test_an_error_notification_names_the_subscription_and_ends_it(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    answer = await client.ask(subscribe(listener.url, frequency=1))
    assert exchange.subscriptions.send_errors("ErrorReadEventsFailed") == 1
    (notification,) = await listener.wait_for(1)
    message = notification.find(f".//{M}SendNotificationResponseMessage")
    assert message is not None
    assert message.get("ResponseClass") == "Error"
    assert code(notification) == "ErrorReadEventsFailed"
    assert message.find(f"{M}Notification") is None
    value = message.find(f"{M}MessageXml/{T}Value")
    assert value is not None
    assert (value.get("Name"), value.text) == ("SubscriptionId", answer.findtext(f".//{M}SubscriptionId"))
    assert list(exchange.subscriptions) == []


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com/notify", "https://", "/notify"])
async def test_an_address_that_cannot_be_called_is_refused(client: Client, url: str) -> None:
    assert code(await client.ask(subscribe(url))) == "ErrorInvalidPushSubscriptionUrl"


async def test_an_old_watermark_is_refused(client: Client) -> None:
    answer = await client.ask(subscribe("https://func.example.com/", watermark="AQAAAA=="))
    assert code(answer) == "ErrorInvalidWatermark"


async def test_another_mailbox_cannot_be_subscribed(client: Client) -> None:
    bob = (
        '<t:DistinguishedFolderId Id="calendar"><t:Mailbox><t:EmailAddress>bob@example.com</t:EmailAddress>'
        "</t:Mailbox></t:DistinguishedFolderId>"
    )
    request = subscribe("https://func.example.com/").replace('<t:DistinguishedFolderId Id="calendar"/>', bob)
    assert code(await client.ask(request)) == "ErrorSubscriptionDelegateAccessNotSupported"


async def test_a_mailbox_has_a_budget_of_subscriptions() -> None:
    seed = [{"address": "anna@example.com"}, {"address": "bob@example.com"}]
    async with ExchangeSimulator(seed=seed, subscription_limit=2) as exchange, Client(exchange) as client:
        request = subscribe("https://func.example.com/")
        codes = [code(await client.ask(request)) for _ in range(3)]
        assert codes == ["NoError", "NoError", "ErrorExceededSubscriptionCount"]
        assert code(await client.ask(request, who="bob@example.com")) == "NoError"
        exchange.subscriptions.lose(exchange.directory.named("anna"))
        assert code(await client.ask(request)) == "NoError"


async def test_subscribing_needs_an_identity(client: Client) -> None:
    response = await client.post(envelope(subscribe("https://func.example.com/"), who=None))
    assert "ErrorMissingEmailAddress" in response.text
