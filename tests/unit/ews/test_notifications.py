from __future__ import annotations

from time import monotonic

import pytest

from shared.errors import ExchangeBusy, ExchangeError, MailboxError, RequestRefused
from shared.ews.notifications import Notification, Subscription, parse_notifications, parse_subscription
from tests.unit.ews import messages
from tests.unit.ews.messages import event, notification, send_notification


def test_reads_a_subscription() -> None:
    assert parse_subscription(messages.subscribed(" sub ", "mark")) == Subscription("sub", "mark")


def test_a_subscription_without_an_id_is_none() -> None:
    with pytest.raises(MailboxError, match="no subscription id"):
        parse_subscription(messages.subscribed(""))


def test_raises_what_exchange_reports() -> None:
    with pytest.raises(ExchangeBusy):
        parse_subscription(messages.refusal("Subscribe", "ErrorServerBusy"))
    with pytest.raises(RequestRefused, match="callback"):
        parse_subscription(messages.fault("ErrorInvalidPushSubscriptionUrl"))


def test_reads_an_event() -> None:
    body = send_notification(notification(event("ModifiedEvent")))
    assert parse_notifications(body) == (
        Notification("sub-1", "mark-1", "mark-2", more_events=False, events=("ModifiedEvent",)),
    )


def test_reads_the_heartbeat() -> None:
    (heartbeat,) = parse_notifications(send_notification(notification(event("StatusEvent"))))
    assert heartbeat.events == ("StatusEvent",)


def test_reads_several_events_and_the_last_watermark() -> None:
    events = (event("CreatedEvent", "a"), event("NewKindOfEvent", "b"), "<t:MovedEvent/>")
    (message,) = parse_notifications(send_notification(notification(*events, more="true")))
    assert message.events == ("CreatedEvent", "NewKindOfEvent", "MovedEvent")
    assert message.watermark == "b"
    assert message.more_events is True


def test_reads_several_messages() -> None:
    body = send_notification(
        notification(event("CreatedEvent")), notification(event("StatusEvent"), subscription_id="sub-2")
    )
    assert [message.subscription_id for message in parse_notifications(body)] == ["sub-1", "sub-2"]


def test_reads_an_error_whose_id_stands_in_the_message_xml() -> None:
    xml = messages.message_xml(SubscriptionId=" sub-1 ")
    body = send_notification(
        messages.answer("SendNotification", xml, code=" ErrorReadEventsFailed ", kind="Error"),
        messages.answer("SendNotification", code="ErrorReadEventsFailed", kind="Error"),
    )
    assert parse_notifications(body) == (
        Notification("sub-1", error="ErrorReadEventsFailed"),
        Notification("", error="ErrorReadEventsFailed"),
    )


def test_a_success_without_a_notification_means_no_subscription_lives() -> None:
    (message,) = parse_notifications(send_notification(messages.answer("SendNotification")))
    assert message == Notification("", error="NoError")


def test_the_id_of_an_error_may_stand_where_others_have_it() -> None:
    odd = notification(event("StatusEvent")).replace('"Success"', '"Error"').replace("NoError", "ErrorX")
    assert parse_notifications(send_notification(odd)) == (Notification("sub-1", error="ErrorX"),)


def test_refuses_other_messages() -> None:
    with pytest.raises(MailboxError, match="no SendNotification"):
        parse_notifications(messages.found_items())


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(9))


@pytest.mark.parametrize(
    "hostile",
    [
        f"<!DOCTYPE s [{BOMB}]><s>&e8;</s>".encode(),
        b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><s>&x;</s>',
        b'<!DOCTYPE s SYSTEM "http://127.0.0.1:9/evil.dtd"><s/>',
        b"<a>" * 100_000,
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b"\x00" * 1000,
        b"\xff\xfe<\x00",
        b"",
    ],
    ids=["bomb", "file", "network", "unclosed", "deep", "zeros", "half", "nothing"],
)
def test_a_hostile_message_is_refused_at_once(hostile: bytes) -> None:
    began = monotonic()
    with pytest.raises(ExchangeError):
        parse_notifications(hostile)
    assert monotonic() - began < 2
