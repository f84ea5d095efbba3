"""SendNotification messages as Exchange writes them, and the answer it expects.

Published source: EWS reference, SendNotification and SendNotificationResult; MS-OXWSNTIF.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from dev.exchange.appointments import Occurrence, write_instant
from dev.exchange.folders import folder_id
from dev.exchange.items import write_item_id
from dev.exchange.mailboxes import Mailbox
from dev.exchange.soap import MESSAGES, SOAP, TYPES, M, Refusal, S, escape, failure

ACTION = f"{MESSAGES}/SendNotification"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: ``kind`` is the element's name, ``content`` what follows the watermark."""

    kind: str
    content: str = ""


STATUS = Event("StatusEvent")


def events_of(action: str, mailbox: Mailbox, entry: Occurrence, now: datetime) -> list[Event]:
    """What one action of a user looks like: events of the item and of its folder.

    ``action`` is created, modified or deleted; a deletion is a move to Deleted Items.
    """
    stamp = f"<t:TimeStamp>{write_instant(now)}</t:TimeStamp>"
    item = write_item_id(mailbox, entry)
    calendar = folder_id(mailbox, "calendar", "ParentFolderId")
    if action == "deleted":
        moved = mailbox.opaque_id(f"deleted-{entry.reference}")
        new = f'<t:ItemId Id="{moved}" ChangeKey="AQAAAA=="/>'
        new += folder_id(mailbox, "deleteditems", "ParentFolderId")
        old = write_item_id(mailbox, entry, "OldItemId") + folder_id(mailbox, "calendar", "OldParentFolderId")
        events = [Event("MovedEvent", stamp + new + old)]
    else:
        events = [Event("CreatedEvent" if action == "created" else "ModifiedEvent", stamp + item + calendar)]
    folder = folder_id(mailbox, "calendar") + folder_id(mailbox, "msgfolderroot", "ParentFolderId")
    events.append(Event("ModifiedEvent", f"{stamp}{folder}<t:UnreadCount>0</t:UnreadCount>"))
    events.append(Event("FreeBusyChangedEvent", stamp + item + calendar))
    return events


def write_watermark(mailbox: Mailbox, number: int) -> str:
    """An opaque mark in the mailbox's row of events."""
    raw = b"\x01\x00\x00\x00" + mailbox.guid.bytes + number.to_bytes(8, "little") + b"\x01"
    return base64.b64encode(raw).decode()


def write_subscription_id(server: str, mailbox: Mailbox, key: uuid.UUID) -> str:
    """An opaque id; like Exchange's it decodes to a server's name."""
    name = server.encode()
    raw = len(name).to_bytes(2, "little") + name + b"\x10\0\0\0" + key.bytes + mailbox.guid.bytes[:8]
    return base64.b64encode(raw).decode()


def write_notification(
    subscription_id: str, previous: str, events: Iterable[tuple[str, Event]], version: str = "Exchange2016"
) -> bytes:
    """The message with ``events`` as pairs of watermark and event."""
    written = "".join(
        f"<t:{event.kind}><t:Watermark>{watermark}</t:Watermark>{event.content}</t:{event.kind}>"
        for watermark, event in events
    )
    return _envelope(
        '<m:SendNotificationResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"<m:Notification><t:SubscriptionId>{escape(subscription_id)}</t:SubscriptionId>"
        f"<t:PreviousWatermark>{previous}</t:PreviousWatermark><t:MoreEvents>false</t:MoreEvents>"
        f"{written}</m:Notification></m:SendNotificationResponseMessage>",
        version,
    )


def write_error_notification(subscription_id: str, code: str, version: str = "Exchange2016") -> bytes:
    """The message that ends a subscription: no Notification element, the id among the values."""
    refusal = Refusal(code, values={"SubscriptionId": subscription_id})
    return _envelope(failure("SendNotification", refusal), version)


def _envelope(message: str, version: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<soap11:Envelope xmlns:soap11="{SOAP}"><soap11:Header>'
        f'<t:RequestServerVersion xmlns:t="{TYPES}" Version="{version}"/></soap11:Header><soap11:Body>'
        f'<m:SendNotification xmlns:t="{TYPES}" xmlns:m="{MESSAGES}"><m:ResponseMessages>{message}'
        "</m:ResponseMessages></m:SendNotification></soap11:Body></soap11:Envelope>"
    ).encode()


def read_answer(status: int, content: bytes) -> str:
    """OK or Unsubscribe as the client answered, or an empty string for anything else."""
    if status != 200:
        return ""
    try:
        envelope = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return ""
    text = envelope.findtext(f"{S}Body/{M}SendNotificationResult/{M}SubscriptionStatus")
    return text if text in ("OK", "Unsubscribe") else ""
