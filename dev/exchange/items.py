"""FindItem with a CalendarView, GetItem, and as much of ConvertId as tells a client the version."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from lxml import etree

from dev.exchange.appointments import RESPONSE, SENSITIVITY, SHOW_AS, Occurrence, write_instant
from dev.exchange.folders import find_folder, folder_id
from dev.exchange.mailboxes import Directory, Mailbox
from dev.exchange.soap import M, MessageError, Refusal, ServerFault, T, escape, failure, success

LONGEST_VIEW = timedelta(days=731)
DEFAULT_SHAPE = frozenset(
    {
        "item:Subject",
        "item:HasAttachments",
        "calendar:Start",
        "calendar:End",
        "calendar:LegacyFreeBusyStatus",
        "calendar:CalendarItemType",
        "calendar:Organizer",
    }
)

Writer = Callable[[Mailbox, Occurrence], str]


def _text(tag: str, value: str) -> str:
    return f"<t:{tag}>{escape(value)}</t:{tag}>"


def _flag(tag: str, value: bool) -> str:
    return f"<t:{tag}>{'true' if value else 'false'}</t:{tag}>"


def _optional(name: str, writer: Writer) -> Writer:
    return lambda mailbox, entry: "" if name in entry.appointment.omit else writer(mailbox, entry)


# In the order of the schema: first ItemType, then CalendarItemType.
WRITERS: dict[str, Writer] = {
    "item:ParentFolderId": lambda mailbox, entry: folder_id(mailbox, "calendar", "ParentFolderId"),
    "item:ItemClass": lambda mailbox, entry: _text(
        "ItemClass",
        "IPM.Appointment"
        if entry.kind != "Exception"
        else "IPM.OLE.CLASS.{00061055-0000-0000-C000-000000000046}",
    ),
    "item:Subject": _optional("subject", lambda mailbox, entry: _text("Subject", entry.appointment.subject)),
    "item:Sensitivity": lambda mailbox, entry: _text(
        "Sensitivity", SENSITIVITY[entry.appointment.sensitivity]
    ),
    "item:HasAttachments": lambda mailbox, entry: _flag("HasAttachments", False),
    "calendar:UID": _optional("uid", lambda mailbox, entry: _text("UID", entry.appointment.uid)),
    "calendar:Start": _optional("start", lambda mailbox, entry: _text("Start", write_instant(entry.start))),
    "calendar:End": _optional("end", lambda mailbox, entry: _text("End", write_instant(entry.end))),
    "calendar:IsAllDayEvent": lambda mailbox, entry: _flag("IsAllDayEvent", entry.appointment.all_day),
    "calendar:LegacyFreeBusyStatus": lambda mailbox, entry: _text(
        "LegacyFreeBusyStatus", SHOW_AS[entry.appointment.show_as]
    ),
    "calendar:IsMeeting": lambda mailbox, entry: _flag("IsMeeting", bool(entry.appointment.organizer)),
    "calendar:IsCancelled": lambda mailbox, entry: _flag("IsCancelled", entry.appointment.cancelled),
    "calendar:IsRecurring": lambda mailbox, entry: _flag("IsRecurring", entry.kind != "Single"),
    "calendar:CalendarItemType": lambda mailbox, entry: _text("CalendarItemType", entry.kind),
    "calendar:MyResponseType": lambda mailbox, entry: _text(
        "MyResponseType", RESPONSE[entry.appointment.response]
    ),
}
ORGANIZER = "calendar:Organizer"
ALL_PROPERTIES = frozenset({*WRITERS, ORGANIZER})


def requested_properties(shape: etree._Element) -> frozenset[str]:
    """The field URIs that an ItemShape asks for."""
    base = shape.findtext(f"{T}BaseShape")
    extra = frozenset(field.get("FieldURI", "") for field in shape.iterfind(f"{T}AdditionalProperties/*"))
    return extra | {"Default": DEFAULT_SHAPE, "AllProperties": ALL_PROPERTIES}.get(base or "", frozenset())


def write_item(
    mailbox: Mailbox, entry: Occurrence, wanted: frozenset[str], directory: Directory, *, smtp: bool
) -> str:
    """A CalendarItem with the wanted properties; ``smtp`` gives the organizer's SMTP address (GetItem)."""
    properties = "".join(write(mailbox, entry) for field, write in WRITERS.items() if field in wanted)
    organizer = _write_organizer(mailbox, entry, directory, smtp=smtp) if ORGANIZER in wanted else ""
    return f"<t:CalendarItem>{write_item_id(mailbox, entry)}{properties}{organizer}</t:CalendarItem>"


def write_item_id(mailbox: Mailbox, entry: Occurrence, tag: str = "ItemId") -> str:
    """The element that names an item, its ChangeKey grown with every change."""
    key = base64.b64encode(b"\x0d\x00\x00\x00\x16\x00" + entry.appointment.revision.to_bytes(4)).decode()
    return f'<t:{tag} Id="{mailbox.opaque_id(entry.reference)}" ChangeKey="{key}"/>'


def _write_organizer(mailbox: Mailbox, entry: Occurrence, directory: Directory, *, smtp: bool) -> str:
    appointment = entry.appointment
    if "organizer" in appointment.omit:
        return ""
    address, name = appointment.organizer, appointment.organizer_name
    if not address and not name:
        address = mailbox.address
    colleague = directory.with_primary(address)
    name = name or (colleague.name if colleague else address)
    content = _text("Name", name)
    if address:
        internal = colleague is not None and not smtp
        content += _text("EmailAddress", colleague.legacy_dn if colleague and internal else address)
        content += _text("RoutingType", "EX" if internal else "SMTP")
        content += _text("MailboxType", "Mailbox" if colleague else "OneOff") if smtp else ""
    return f"<t:Organizer><t:Mailbox>{content}</t:Mailbox></t:Organizer>"


def find_item(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """One response message a folder. Raises ServerFault without a CalendarView."""
    view = body.find(f"{M}CalendarView")
    if view is None:
        raise ServerFault("ErrorInvalidRequest", "The simulator finds items through a CalendarView only.")
    shape = body.find(f"{M}ItemShape")
    wanted = requested_properties(shape) if shape is not None else frozenset()
    messages = []
    for element in body.iterfind(f"{M}ParentFolderIds/*"):
        try:
            mailbox, folder = find_folder(element, caller, directory)
            if folder.name != "calendar":
                raise MessageError("ErrorCalendarFolderIsInvalidForCalendarView")
            entries, complete = _read_view(mailbox, view)
        except Refusal as refusal:
            messages.append(failure("FindItem", refusal))
            continue
        items = "".join(write_item(mailbox, entry, wanted, directory, smtp=False) for entry in entries)
        messages.append(
            success(
                "FindItem",
                f'<m:RootFolder TotalItemsInView="{len(entries)}" '
                f'IncludesLastItemInRange="{"true" if complete else "false"}">'
                f"<t:Items>{items}</t:Items></m:RootFolder>",
            )
        )
    return messages


def _read_view(mailbox: Mailbox, view: etree._Element) -> tuple[list[Occurrence], bool]:
    """The entries of the view and whether they are all; cut off, the later ones are missing."""
    start, end = _read_date(view.get("StartDate", "")), _read_date(view.get("EndDate", ""))
    if end < start:
        raise MessageError("ErrorCalendarEndDateIsEarlierThanStartDate")
    if end - start > LONGEST_VIEW:
        raise MessageError("ErrorCalendarViewRangeTooBig")
    most = view.get("MaxEntriesReturned")
    if most is not None and int(most) < 1:
        raise MessageError(
            "ErrorInvalidPagingMaxRows", "The maximum number of rows returned must be greater than zero."
        )
    entries = list(mailbox.expand(start, end))
    if most is None or len(entries) <= int(most):
        return entries, True
    return sorted(entries, key=attrgetter("start"))[: int(most)], False


def _read_date(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def get_item(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """One response message an id."""
    shape = body.find(f"{M}ItemShape")
    wanted = requested_properties(shape) if shape is not None else frozenset()
    messages = []
    for element in body.iterfind(f"{M}ItemIds/*"):
        try:
            mailbox, reference = directory.owner(element.get("Id", ""))
            if mailbox is not caller:
                raise KeyError(reference)
            entry = mailbox.find(reference)
        except KeyError:
            messages.append(failure("GetItem", MessageError("ErrorItemNotFound"), content="<m:Items/>"))
        except ValueError:
            messages.append(failure("GetItem", MessageError("ErrorInvalidIdMalformed"), content="<m:Items/>"))
        else:
            item = write_item(mailbox, entry, wanted, directory, smtp=True)
            messages.append(success("GetItem", f"<m:Items>{item}</m:Items>"))
    return messages


def convert_ids(body: etree._Element, caller: Mailbox | None, directory: Directory) -> list[str]:
    """One response message an id; ids in other formats are not known here, so all are malformed."""
    malformed = failure("ConvertId", MessageError("ErrorInvalidIdMalformed"))
    return [malformed for _ in body.iterfind(f"{M}SourceIds/*")]
