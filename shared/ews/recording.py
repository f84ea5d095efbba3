"""What may be kept of a conversation with Exchange: redacted, so that a record can be given to support.

What is known to be harmless is kept, and all else replaced: an element or header that nobody thought of leaks
nothing. Addresses become hashes, the same for the same address, so that a mailbox can be followed.

Sources: MS-OXWSCDATA, MS-OXWSCORE (what an element holds); the sign-in never comes this far.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from lxml import etree

LONGEST = 30_000
"""Characters kept of a body: a table's property holds 32768."""

_ADDRESS = re.compile(r"[^\s<>\"'/:;,=]+@[^\s<>\"'/:;,=]+")
_SUBJECTS = frozenset({"Subject", "Location"})
_SUBJECT = re.compile(r"(<(?:\w+:)?(?:Subject|Location)(?:\s[^>]*)?>)[^<]+")
_HARMLESS = frozenset(
    re.findall(
        r"\w+",
        """
        AcceptableResponseSchema AccountType Action ASUrl BaseShape CalendarItemType ChangeType End ErrorCode
        DescriptiveLinkKey EventType EwsUrl faultcode faultstring FolderClass HasAttachments IsAllDayEvent
        IsCancelled IsMeeting IsRecurring ItemClass LegacyFreeBusyStatus MailboxType Message MessageText
        MoreEvents MyResponseType ResponseCode RoutingType Sensitivity ServerVersion Start StatusFrequency
        SubscriptionStatus TimeStamp TotalCount Type Value
        """,
    )
)
_VALUES = frozenset({"BackOffMilliseconds", "InnerErrorResponseCode"})
_ATTRIBUTES = frozenset(
    re.findall(
        r"\w+",
        """
        BasePoint FieldURI StartDate EndDate IncludesLastItemInRange IndexedPagingOffset lang MajorBuildNumber
        MajorVersion MaxEntriesReturned MinorBuildNumber MinorVersion Name ResponseClass ReturnFullContactData
        SearchScope TotalItemsInView Traversal Version
        """,
    )
)
_HEADERS = frozenset(
    re.findall(
        r"\S+",
        """
        accept content-encoding content-length content-type date request-id retry-after server soapaction
        x-beserver x-diaginfo x-feserver
        """,
    )
)


@dataclass(frozen=True, slots=True)
class Record:
    """One request and what came of it, redacted. ``status`` is 0 where there was no answer but ``error``."""

    at: datetime
    seconds: float
    place: str
    request_headers: Mapping[str, str]
    request: str
    status: int
    answer_headers: Mapping[str, str]
    answer: str
    error: str


def hash_of(text: str) -> str:
    """The same for the same text, whatever its case, and nothing that leads back."""
    return hashlib.sha256(text.strip().casefold().encode()).hexdigest()[:12]


def redact_text(text: str) -> str:
    """The text with every address in it as a hash."""
    return _ADDRESS.sub(lambda match: f"address-{hash_of(match[0])}", text)


def redact_url(url: str) -> str:
    """Scheme, host and path; a query is dropped."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return redact_text(f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}")


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The harmless ones; of a sign-in the scheme, of the anchor mailbox a hash. Names in lower case."""
    kept: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if name in _HEADERS:
            kept[name] = redact_text(value)
        elif name == "x-anchormailbox":
            kept[name] = f"address-{hash_of(value)}"
        elif name in ("authorization", "www-authenticate"):
            kept[name] = f"{value.partition(' ')[0].rstrip(',')} [removed]"
    return kept


def redact_body(body: bytes, *, subjects: bool = False) -> str:
    """The XML with what is harmless in it; of anything else the size.

    With ``subjects`` also subjects and places, but for those of private appointments.
    """
    if not body.strip():
        return ""
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None or not isinstance(root.tag, str) or not root.tag.startswith("{"):
        return f"[{len(body)} bytes that are no XML of Exchange]"
    for node in list(root.iter()):
        node.tail = None
        parent = node.getparent()
        if isinstance(node.tag, str):
            _redact(node, subjects)
        elif parent is not None:  # an entity
            parent.remove(node)
    text = etree.tostring(root, encoding="unicode")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}[cut off]"


def drop_subjects(text: str) -> str:
    """What `redact_body` has kept, without subjects and places."""
    return _SUBJECT.sub(r"\1[removed]", text)


def _is_normal(element: etree._Element) -> bool:
    """Whether what the element tells of is not private to the mailbox's owner."""
    item = element.getparent()
    told = item.find("{*}Sensitivity") if item is not None else None
    return told is None or (told.text or "").strip() == "Normal"


def _redact(element: etree._Element, subjects: bool) -> None:
    name = etree.QName(element).localname
    text = (element.text or "").strip()
    if not text:
        element.text = None
    elif name in _HARMLESS and not (name == "Value" and element.get("Name") not in _VALUES):
        element.text = redact_text(text)
    elif _ADDRESS.fullmatch(text):
        element.text = f"address-{hash_of(text)}"
    elif name == "URL":  # of the callback: its path holds a secret
        element.text = f"{redact_url(text).partition('://')[0]}://{urlsplit(text).hostname}/[removed]"
    elif not (subjects and name in _SUBJECTS and _is_normal(element)):
        element.text = f"[{name} {hash_of(text)}]" if name == "SubscriptionId" else "[removed]"
    for attribute, value in element.attrib.items():
        local = etree.QName(attribute).localname
        kept = local in _ATTRIBUTES or (local, name) == ("Id", "DistinguishedFolderId")
        element.set(attribute, redact_text(str(value)) if kept else hash_of(str(value)))
