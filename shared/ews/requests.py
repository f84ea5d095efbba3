"""The requests sent to Exchange, as bytes.

Each carries Exchange2013_SP1, which every version since answers, and impersonates at most one mailbox.
No TimeZoneContext is sent: the times of the answers are then UTC. An address that none can be is refused
here, with the error that Exchange would give (ErrorInvalidSmtpAddress).

Sources: MS-OXWSCORE, MS-OXWSSRCH (FindItem, CalendarView), MS-OXWSRSLNM (ResolveNames), MS-OXWSNTIF
(Subscribe, SendNotification), MS-OXWSCDATA (SOAP headers).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from lxml import etree

from shared.ews.envelope import MESSAGES_NS, SOAP_NS, TYPES_NS, Element
from shared.ews.failures import failure

MAX_ENTRIES = 1000
MAX_ITEM_IDS = 10
"""Items that one GetItem asks for at most."""

_ADDRESS = re.compile(r"[!#-;=?-~]+@[!#-;=?-~]+")
_NSMAP = {"s": SOAP_NS, "t": TYPES_NS, "m": MESSAGES_NS}

_APPOINTMENT_FIELDS = (
    "item:Subject",
    "item:Sensitivity",
    "calendar:Start",
    "calendar:End",
    "calendar:IsAllDayEvent",
    "calendar:LegacyFreeBusyStatus",
    "calendar:IsCancelled",
    "calendar:CalendarItemType",
    "calendar:MyResponseType",
    "calendar:Organizer",
    "calendar:UID",
)
_EVENTS = ("CreatedEvent", "ModifiedEvent", "DeletedEvent", "MovedEvent")


def _element(name: str, *content: Element | str, **attributes: str) -> Element:
    prefix, _, local = name.partition(":")
    element = etree.Element(f"{{{_NSMAP[prefix]}}}{local}", attributes, nsmap=_NSMAP)
    for part in content:
        if isinstance(part, str):
            element.text = part
        else:
            element.append(part)
    return element


def _bytes(root: Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _checked(address: str) -> str:
    """The address, if it is one that a header of HTTP and a PrimarySmtpAddress can carry."""
    if not _ADDRESS.fullmatch(address):
        raise failure("ErrorInvalidSmtpAddress")
    return address


def _request(message: Element, impersonate: str | None) -> bytes:
    header = _element("s:Header", _element("t:RequestServerVersion", Version="Exchange2013_SP1"))
    if impersonate is not None:
        header.append(
            _element(
                "t:ExchangeImpersonation",
                _element("t:ConnectingSID", _element("t:PrimarySmtpAddress", _checked(impersonate))),
            )
        )
    return _bytes(_element("s:Envelope", header, _element("s:Body", message)))


def _shape(fields: Sequence[str]) -> Element:
    uris = [_element("t:FieldURI", FieldURI=field) for field in fields]
    return _element(
        "m:ItemShape", _element("t:BaseShape", "IdOnly"), _element("t:AdditionalProperties", *uris)
    )


def _calendar() -> Element:
    return _element("t:DistinguishedFolderId", Id="calendar")


def instant(moment: datetime) -> str:
    """An aware moment as Exchange reads it, in whole seconds: ``2017-08-21T08:30:00Z``."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def find_item(mailbox: str, start: datetime, end: datetime) -> bytes:
    """What the mailbox's calendar holds between two instants, series expanded, in one round trip."""
    view = _element(
        "m:CalendarView", MaxEntriesReturned=str(MAX_ENTRIES), StartDate=instant(start), EndDate=instant(end)
    )
    folders = _element("m:ParentFolderIds", _calendar())
    return _request(
        _element("m:FindItem", _shape(_APPOINTMENT_FIELDS), view, folders, Traversal="Shallow"), mailbox
    )


def get_organizers(mailbox: str, item_ids: Sequence[str]) -> bytes:
    """The organizers of up to ``MAX_ITEM_IDS`` items, with addresses, which FindItem lacks."""
    ids = _element("m:ItemIds", *(_element("t:ItemId", Id=item_id) for item_id in item_ids))
    return _request(_element("m:GetItem", _shape(("calendar:Organizer",)), ids), mailbox)


def resolve_names(address: str, impersonate: str | None) -> bytes:
    """Which directory objects know the address as one of theirs, or begin with it."""
    return _request(
        _element(
            "m:ResolveNames",
            _element("m:UnresolvedEntry", f"smtp:{_checked(address)}"),
            ReturnFullContactData="true",
            SearchScope="ActiveDirectory",
        ),
        impersonate,
    )


def subscribe(mailbox: str, callback_url: str, status_frequency_minutes: int) -> bytes:
    """Have changes of the mailbox's calendar told to ``callback_url``; a heartbeat every 1 to 1440 minutes.

    No Watermark: a renewal is followed by a reading, which makes up for what happened in between.
    """
    return _request(
        _element(
            "m:Subscribe",
            _element(
                "m:PushSubscriptionRequest",
                _element("t:FolderIds", _calendar()),
                _element("t:EventTypes", *(_element("t:EventType", event) for event in _EVENTS)),
                _element("t:StatusFrequency", str(status_frequency_minutes)),
                _element("t:URL", callback_url),
            ),
        ),
        mailbox,
    )


def notification_result(*, keep: bool) -> bytes:
    """The answer to a notification: ``OK``, or ``Unsubscribe``, the only way to end a push subscription."""
    status = _element("m:SubscriptionStatus", "OK" if keep else "Unsubscribe")
    return _bytes(_element("s:Envelope", _element("s:Body", _element("m:SendNotificationResult", status))))
