"""What FindItem and GetItem answer: a calendar's appointments and their organizers.

Sources: MS-OXWSSRCH (FindItemResponseMessageType, FindResponsePagingAttributes), MS-OXWSMTGS
(CalendarItemType), MS-OXWSCDATA (LegacyFreeBusyType, ResponseTypeType, SensitivityChoicesType).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.errors import MailboxError
from shared.ews.envelope import (
    MESSAGES,
    TYPES,
    Element,
    body_of,
    flag,
    full_text,
    parse_envelope,
    response_messages,
    server_version,
    text_at,
    unreadable,
)
from shared.ews.failures import failure, raise_fault
from shared.model import Appointment, Response, Sensitivity, ShowAs

_SHOW_AS = {
    "Free": ShowAs.FREE,
    "Tentative": ShowAs.TENTATIVE,
    "Busy": ShowAs.BUSY,
    "OOF": ShowAs.OUT_OF_OFFICE,
    "WorkingElsewhere": ShowAs.WORKING_ELSEWHERE,
    "NoData": ShowAs.NO_DATA,
}
_SENSITIVITIES = {
    "Normal": Sensitivity.NORMAL,
    "Personal": Sensitivity.PERSONAL,
    "Private": Sensitivity.PRIVATE,
    "Confidential": Sensitivity.CONFIDENTIAL,
}
_RESPONSES = {
    "Organizer": Response.ORGANIZER,
    "Accept": Response.ACCEPT,
    "Tentative": Response.TENTATIVE,
    "Decline": Response.DECLINE,
    "NoResponseReceived": Response.NO_RESPONSE,
    "Unknown": Response.UNKNOWN,
}
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class CalendarItem:
    """An appointment and what Exchange calls it: ``item_id`` for GetItem, ``uid`` the same for a series."""

    appointment: Appointment
    item_id: str
    uid: str


@dataclass(frozen=True, slots=True)
class FoundItems:
    """One FindItem answer.

    ``complete`` is False where the answer was cut off. ``skipped`` counts items without a start or an end
    and masters of series, ``unknown`` the enumeration values nobody knows.
    """

    items: tuple[CalendarItem, ...]
    complete: bool
    skipped: int
    unknown: int
    server_version: str | None


def parse_instant(text: str) -> datetime | None:
    """An xs:dateTime in UTC; without a zone it is UTC already. None for anything else."""
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1] + (match[2] or "") + (match[3] or "Z")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _identity(*parts: str) -> str:
    """Text that is the same for the same parts, unlike for others, and shows none of them."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def identify(uid: str, start: datetime) -> str:
    """An appointment's id: the same for the same occurrence (UID and start in UTC) at every reading."""
    return _identity(uid, start.isoformat())


def _organizer(item: Element) -> tuple[str, str]:
    """The organizer's SMTP address and name. Other routing types hold no usable address."""
    mailbox = item.find(f"{TYPES}Organizer/{TYPES}Mailbox")
    smtp = text_at(mailbox, f"{TYPES}RoutingType").upper() == "SMTP"
    address = text_at(mailbox, f"{TYPES}EmailAddress") if smtp else ""
    return address, text_at(mailbox, f"{TYPES}Name")


class _Reader:
    """Reads the items of one answer, counting what it had to leave out or guess."""

    def __init__(self) -> None:
        self.skipped = 0
        self.unknown = 0

    def _choice[T: StrEnum](self, text: str, known: Mapping[str, T], absent: T, strange: T) -> T:
        if not text:
            return absent
        if text not in known:
            self.unknown += 1
        return known.get(text, strange)

    def item(self, item: Element) -> CalendarItem | None:
        start = parse_instant(text_at(item, f"{TYPES}Start"))
        end = parse_instant(text_at(item, f"{TYPES}End"))
        master = text_at(item, f"{TYPES}CalendarItemType") == "RecurringMaster"  # its occurrences count
        if start is None or end is None or master:
            self.skipped += 1
            return None
        found = item.find(f"{TYPES}ItemId")
        item_id = "" if found is None else found.get("Id", "")
        uid = text_at(item, f"{TYPES}UID")
        subject = item.find(f"{TYPES}Subject")
        address, name = _organizer(item)
        appointment = Appointment(
            id=identify(uid or item_id or end.isoformat(), start),
            start=start,
            end=end,
            subject="" if subject is None else full_text(subject),
            all_day=flag(text_at(item, f"{TYPES}IsAllDayEvent"), default=False),
            show_as=self._choice(
                text_at(item, f"{TYPES}LegacyFreeBusyStatus"), _SHOW_AS, ShowAs.NO_DATA, ShowAs.NO_DATA
            ),
            sensitivity=self._choice(
                text_at(item, f"{TYPES}Sensitivity"), _SENSITIVITIES, Sensitivity.NORMAL, Sensitivity.PRIVATE
            ),
            organizer=address,
            organizer_name=name,
            cancelled=flag(text_at(item, f"{TYPES}IsCancelled"), default=False),
            response=self._choice(
                text_at(item, f"{TYPES}MyResponseType"), _RESPONSES, Response.UNKNOWN, Response.UNKNOWN
            ),
        )
        return CalendarItem(appointment, item_id, uid)


def parse_found_items(body: bytes) -> FoundItems:
    """The FindItem answer in ``body``.

    Raises the error that Exchange reports, or one for an unreadable body.
    """
    envelope = parse_envelope(body)
    raise_fault(envelope)
    reader = _Reader()
    items: list[CalendarItem] = []
    complete = True
    for answer in response_messages(body_of(envelope, "FindItemResponse")):
        if answer.error is not None:
            raise failure(answer.error)
        root = answer.element.find(f"{MESSAGES}RootFolder")
        if root is None:
            raise unreadable("it holds no folder")
        complete = complete and flag(root.get("IncludesLastItemInRange"), default=True)
        found = map(reader.item, root.iterfind(f"{TYPES}Items/{TYPES}CalendarItem"))
        items.extend(item for item in found if item is not None)
    return FoundItems(tuple(items), complete, reader.skipped, reader.unknown, server_version(envelope))


def agenda_of(items: Iterable[CalendarItem]) -> tuple[CalendarItem, ...]:
    """The items once each, with ids that are unique, by start.

    Overlapping windows give an item twice. Two items may also share UID and start (a meeting that was
    imported twice): both stay, the later ones by ItemId get an id of their own, the same at every reading.
    """
    once = {(item.appointment.id, item.item_id): item for item in items}
    taken: set[str] = set()
    agenda: list[CalendarItem] = []
    for (identity, item_id), item in sorted(once.items(), key=lambda entry: entry[0]):
        if identity in taken:
            item = replace(item, appointment=replace(item.appointment, id=_identity(identity, item_id)))
        taken.add(identity)
        agenda.append(item)
    return tuple(sorted(agenda, key=lambda item: (item.appointment.start, item.appointment.id)))


def halves(start: datetime, end: datetime) -> Sequence[tuple[datetime, datetime]]:
    """The window in two, cut at a whole second."""
    middle = start + timedelta(seconds=int((end - start).total_seconds()) // 2)
    return (start, middle), (middle, end)


def parse_organizers(body: bytes, item_ids: Sequence[str]) -> dict[str, str]:
    """Organizers' SMTP addresses by item id, from the GetItem answer to a request for ``item_ids``.

    An item that is gone, or whose organizer has no SMTP address, is left out. Raises as parse_found_items
    for what concerns more than an item.
    """
    envelope = parse_envelope(body)
    raise_fault(envelope)
    addresses: dict[str, str] = {}
    answers = list(response_messages(body_of(envelope, "GetItemResponse")))
    if len(answers) != len(item_ids):
        raise unreadable("it answers for another number of items than asked for")
    for item_id, answer in zip(item_ids, answers, strict=True):
        if answer.error is not None:
            error = failure(answer.error)
            if not isinstance(error, MailboxError):
                raise error
            continue
        for element in answer.element.iterfind(f"{MESSAGES}Items/{TYPES}*"):
            if (address := _organizer(element)[0]) != "":
                addresses[item_id] = address
    return addresses
