"""Push notifications: the answer to Subscribe, and what Exchange then sends to the callback address.

Source: MS-OXWSNTIF (SubscribeResponseMessageType, SendNotificationResponseMessageType, NotificationType).
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.ews.envelope import (
    MESSAGES,
    TYPES,
    body_of,
    flag,
    parse_envelope,
    response_messages,
    text_at,
    unreadable,
)
from shared.ews.failures import failure, raise_fault


@dataclass(frozen=True, slots=True)
class Subscription:
    """A push subscription: Exchange's opaque id, and the mark of the last event before it."""

    id: str
    watermark: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One message about one subscription. It names no mailbox and proves nothing: a hint to read again.

    ``events`` are Exchange's names in the order of arrival, ``StatusEvent`` the heartbeat. ``watermark`` is
    that of the last event. With an ``error`` (a ResponseCode) the subscription is dead and the rest is empty.
    """

    subscription_id: str
    previous_watermark: str = ""
    watermark: str = ""
    more_events: bool = False
    events: tuple[str, ...] = ()
    error: str | None = None


def parse_subscription(body: bytes) -> Subscription:
    """The answer to Subscribe. Raises the error that Exchange reports, or one for an unreadable body."""
    envelope = parse_envelope(body)
    raise_fault(envelope)
    answer = next(response_messages(body_of(envelope, "SubscribeResponse")))
    if answer.error is not None:
        raise failure(answer.error)
    identity = text_at(answer.element, f"{MESSAGES}SubscriptionId")
    if not identity:
        raise unreadable("it holds no subscription id")
    return Subscription(identity, text_at(answer.element, f"{MESSAGES}Watermark"))


def parse_notifications(body: bytes) -> tuple[Notification, ...]:
    """The messages of one SendNotification, at least one. Raises ExchangeError for what is none."""
    envelope = parse_envelope(body)
    raise_fault(envelope)
    messages: list[Notification] = []
    for answer in response_messages(body_of(envelope, "SendNotification")):
        notification = answer.element.find(f"{MESSAGES}Notification")
        if answer.error is not None or notification is None:
            identity = answer.values.get("SubscriptionId", "") or text_at(
                notification, f"{TYPES}SubscriptionId"
            )
            messages.append(Notification(identity, error=answer.code))
            continue
        events = [
            event
            for event in notification.iterfind(f"{TYPES}*")
            if isinstance(event.tag, str) and event.tag.endswith("Event")
        ]
        marks = [mark for event in events if (mark := text_at(event, f"{TYPES}Watermark"))]
        messages.append(
            Notification(
                text_at(notification, f"{TYPES}SubscriptionId"),
                text_at(notification, f"{TYPES}PreviousWatermark"),
                marks[-1] if marks else "",
                flag(text_at(notification, f"{TYPES}MoreEvents"), default=False),
                tuple(str(event.tag).removeprefix(TYPES) for event in events),
            )
        )
    return tuple(messages)
