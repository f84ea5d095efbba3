"""What a request must look like: the part of Microsoft's Types.xsd and Messages.xsd for our operations.

A small grammar in place of the schemas, which cost too much per request. It refuses what the schemas refuse:
wrong order, wrong namespace, missing or unknown elements and attributes, values outside an enumeration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from dev.exchange.soap import MESSAGES, SOAP, TYPES, M, Request, ServerFault, T, parse_envelope, violation

MANY = 1_000_000
Check = Callable[[str], bool]


def _any(value: str) -> bool:
    return True


def _filled(value: str) -> bool:
    return bool(value)


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value.strip()) is not None


def _one_of(words: str) -> Check:
    allowed = frozenset(words.split())
    return lambda value: value in allowed


def _between(low: int, high: int) -> Check:
    return lambda value: _INT(value) and low <= int(value) <= high


_INT = _matches(r"[+-]?\d{1,10}")
_BOOLEAN = _one_of("true false 1 0")
_DATE_TIME = _matches(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
)
_SHAPE = _one_of("IdOnly Default AllProperties PcxPeopleSearch")
_BODY_TYPE = _one_of("Best HTML Text")
_VERSION = _one_of(
    "Exchange2007 Exchange2007_SP1 Exchange2009 Exchange2010 Exchange2010_SP1 Exchange2010_SP2 Exchange2012 "
    "Exchange2013 Exchange2013_SP1 Exchange2015 Exchange2016 V2015_10_05 V2016_01_06 V2016_04_13 V2016_07_13 "
    "V2016_10_10 V2017_01_07 V2017_04_14 V2017_07_11"
)
_ID_FORMAT = _one_of("EwsLegacyId EwsId EntryId HexEntryId StoreId OwaId")
_EVENT = _one_of(
    "CopiedEvent CreatedEvent DeletedEvent ModifiedEvent MovedEvent NewMailEvent FreeBusyChangedEvent"
)
_FOLDER = _one_of(
    "calendar contacts deleteditems drafts inbox journal notes outbox sentitems tasks msgfolderroot "
    "publicfoldersroot root junkemail searchfolders voicemail recoverableitemsroot recoverableitemsdeletions "
    "recoverableitemsversions recoverableitemspurges archiveroot archivemsgfolderroot archivedeleteditems "
    "archiveinbox syncissues conflicts localfailures serverfailures recipientcache quickcontacts "
    "conversationhistory adminauditlogs todosearch mycontacts directory imcontactlist peopleconnect favorites"
)
_ITEM_FIELDS = (
    "ItemId ParentFolderId ItemClass MimeContent Attachments Subject DateTimeReceived Size Categories "
    "HasAttachments Importance InReplyTo InternetMessageHeaders IsAssociated IsDraft IsFromMe IsResend "
    "IsSubmitted IsUnmodified DateTimeSent DateTimeCreated Body ResponseObjects Sensitivity ReminderDueBy "
    "ReminderIsSet ReminderNextTime ReminderMinutesBeforeStart DisplayTo DisplayCc DisplayBcc Culture "
    "EffectiveRights LastModifiedName LastModifiedTime ConversationId UniqueBody Flag StoreEntryId "
    "InstanceKey NormalizedBody EntityExtractionResult PolicyTag ArchiveTag RetentionDate Preview "
    "PredictedActionReasons IsClutter RightsManagementLicenseData BlockStatus HasBlockedImages "
    "WebClientReadFormQueryString WebClientEditFormQueryString TextBody IconIndex MimeContentUTF8 Mentions "
    "MentionedMe MentionsPreview MentionsEx Hashtags AppliedHashtags AppliedHashtagsPreview Likes "
    "LikesPreview PendingSocialActivityTagIds AtAllMention CanDelete InferenceClassification FirstBody"
)
_CALENDAR_FIELDS = (
    "Start End OriginalStart StartWallClock EndWallClock StartTimeZoneId EndTimeZoneId IsAllDayEvent "
    "LegacyFreeBusyStatus Location EnhancedLocation When IsMeeting IsCancelled IsRecurring "
    "MeetingRequestWasSent IsResponseRequested CalendarItemType MyResponseType Organizer RequiredAttendees "
    "OptionalAttendees Resources ConflictingMeetingCount AdjacentMeetingCount ConflictingMeetings "
    "AdjacentMeetings InboxReminders Duration TimeZone AppointmentReplyTime AppointmentSequenceNumber "
    "AppointmentState Recurrence FirstOccurrence LastOccurrence ModifiedOccurrences DeletedOccurrences "
    "MeetingTimeZone ConferenceType AllowNewTimeProposal IsOnlineMeeting MeetingWorkspaceUrl NetShowUrl UID "
    "RecurrenceId DateTimeStamp StartTimeZone EndTimeZone JoinOnlineMeetingUrl OnlineMeetingSettings "
    "IsOrganizer CalendarActivityData DoNotForwardMeeting"
)
_FOLDER_FIELDS = (
    "FolderId ParentFolderId DisplayName UnreadCount TotalCount ChildFolderCount FolderClass "
    "SearchParameters ManagedFolderInformation PermissionSet EffectiveRights SharingEffectiveRights "
    "DistinguishedFolderId PolicyTag ArchiveTag ReplicaList"
)
_FIELD = _one_of(
    " ".join(
        f"{kind}:{name}"
        for kind, names in (
            ("item", _ITEM_FIELDS),
            ("calendar", _CALENDAR_FIELDS),
            ("folder", _FOLDER_FIELDS),
        )
        for name in names.split()
    )
)


@dataclass(frozen=True, slots=True)
class Particle:
    """One step of a sequence: any of ``names``, at least ``low`` and at most ``high`` times."""

    names: frozenset[str]
    low: int = 1
    high: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """An element: ``children`` in order or ``text``, and its attributes. ``open`` allows anything."""

    children: tuple[Particle, ...] = ()
    text: Check | None = None
    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    open: bool = False


def _name(short: str) -> str:
    prefix, _, local = short.partition(":")
    return {"m": M, "t": T}[prefix] + local


def _sequence(words: str) -> tuple[Particle, ...]:
    """``"t:A t:B? t:C|t:D+"`` in order: one A, perhaps a B, at least one C or D."""
    particles = []
    for word in words.split():
        names = frozenset(_name(short) for short in word.rstrip("?+*").split("|"))
        low, high = {"?": (0, 1), "+": (1, MANY), "*": (0, MANY)}.get(word[-1], (1, 1))
        particles.append(Particle(names, low, high))
    return tuple(particles)


def _rule(
    children: str = "",
    text: Check | None = None,
    *,
    required: dict[str, Check] | None = None,
    **optional: Check,
) -> Rule:
    return Rule(_sequence(children), text, required or {}, optional)


_FOLDER_IDS = _rule("t:FolderId|t:DistinguishedFolderId+")
_ITEM_ID = _rule(required={"Id": _any}, ChangeKey=_any)
_PAGE_VIEW = _rule(MaxEntriesReturned=_INT, required={"Offset": _INT, "BasePoint": _one_of("Beginning End")})

GRAMMAR: dict[str, Rule] = {
    _name(short): rule
    for short, rule in {
        "m:FindItem": _rule(
            "m:ItemShape m:CalendarView|m:IndexedPageItemView? m:ParentFolderIds",
            required={"Traversal": _one_of("Shallow SoftDeleted Associated")},
        ),
        "m:ItemShape": _rule(
            "t:BaseShape t:IncludeMimeContent? t:BodyType? t:UniqueBodyType? t:NormalizedBodyType? "
            "t:FilterHtmlContent? t:ConvertHtmlCodePageToUTF8? t:InlineImageUrlTemplate? "
            "t:BlockExternalImages? t:AddBlankTargetToLinks? t:MaximumBodySize? t:AdditionalProperties?"
        ),
        "m:CalendarView": _rule(
            MaxEntriesReturned=_INT, required={"StartDate": _DATE_TIME, "EndDate": _DATE_TIME}
        ),
        "m:IndexedPageItemView": _PAGE_VIEW,
        "m:IndexedPageFolderView": _PAGE_VIEW,
        "m:ParentFolderIds": _FOLDER_IDS,
        "m:FolderIds": _FOLDER_IDS,
        "t:FolderIds": _FOLDER_IDS,
        "t:FolderId": _ITEM_ID,
        "t:ItemId": _ITEM_ID,
        "t:DistinguishedFolderId": _rule("t:Mailbox?", required={"Id": _FOLDER}, ChangeKey=_any),
        "t:Mailbox": _rule("t:Name? t:EmailAddress? t:RoutingType? t:MailboxType?"),
        "t:Name": _rule(text=_any),
        "t:EmailAddress": _rule(text=_filled),
        "t:RoutingType": _rule(text=_filled),
        "t:MailboxType": _rule(
            text=_one_of("Unknown OneOff Mailbox PublicDL PrivateDL Contact PublicFolder")
        ),
        "t:BaseShape": _rule(text=_SHAPE),
        "t:IncludeMimeContent": _rule(text=_BOOLEAN),
        "t:BodyType": _rule(text=_BODY_TYPE),
        "t:UniqueBodyType": _rule(text=_BODY_TYPE),
        "t:NormalizedBodyType": _rule(text=_BODY_TYPE),
        "t:FilterHtmlContent": _rule(text=_BOOLEAN),
        "t:ConvertHtmlCodePageToUTF8": _rule(text=_BOOLEAN),
        "t:InlineImageUrlTemplate": _rule(text=_any),
        "t:BlockExternalImages": _rule(text=_BOOLEAN),
        "t:AddBlankTargetToLinks": _rule(text=_BOOLEAN),
        "t:MaximumBodySize": _rule(text=_INT),
        "t:AdditionalProperties": _rule("t:FieldURI|t:IndexedFieldURI|t:ExtendedFieldURI+"),
        "t:FieldURI": _rule(required={"FieldURI": _FIELD}),
        "t:IndexedFieldURI": _rule(required={"FieldURI": _any, "FieldIndex": _any}),
        "t:ExtendedFieldURI": _rule(
            DistinguishedPropertySetId=_any,
            PropertySetId=_any,
            PropertyTag=_any,
            PropertyName=_any,
            PropertyId=_INT,
            required={"PropertyType": _any},
        ),
        "m:GetItem": _rule("m:ItemShape m:ItemIds"),
        "m:ItemIds": _rule("t:ItemId+"),
        "m:ConvertId": _rule("m:SourceIds", required={"DestinationFormat": _ID_FORMAT}),
        "m:SourceIds": _rule("t:AlternateId+"),
        "t:AlternateId": _rule(
            required={"Format": _ID_FORMAT, "Id": _any, "Mailbox": _filled}, IsArchive=_BOOLEAN
        ),
        "m:GetFolder": _rule("m:FolderShape m:FolderIds"),
        "m:FolderShape": _rule("t:BaseShape t:AdditionalProperties?"),
        "m:FindFolder": _rule(
            "m:FolderShape m:IndexedPageFolderView? m:Restriction? m:ParentFolderIds",
            required={"Traversal": _one_of("Shallow Deep SoftDeleted")},
        ),
        "m:Restriction": Rule(open=True),
        "m:SyncFolderHierarchy": _rule("m:FolderShape m:SyncFolderId? m:SyncState?"),
        "m:SyncFolderId": _rule("t:FolderId|t:DistinguishedFolderId"),
        "m:SyncState": _rule(text=_any),
        "m:ResolveNames": _rule(
            "m:ParentFolderIds? m:UnresolvedEntry",
            SearchScope=_one_of("ActiveDirectory ActiveDirectoryContacts Contacts ContactsActiveDirectory"),
            ContactDataShape=_SHAPE,
            required={"ReturnFullContactData": _BOOLEAN},
        ),
        "m:UnresolvedEntry": _rule(text=_filled),
        "m:Subscribe": _rule("m:PushSubscriptionRequest"),
        "m:PushSubscriptionRequest": _rule(
            "t:FolderIds? t:EventTypes t:Watermark? t:StatusFrequency t:URL t:CallerData?",
            SubscribeToAllFolders=_BOOLEAN,
        ),
        "t:EventTypes": _rule("t:EventType+"),
        "t:EventType": _rule(text=_EVENT),
        "t:Watermark": _rule(text=_filled),
        "t:StatusFrequency": _rule(text=_between(1, 1440)),
        "t:URL": _rule(text=_any),
        "t:CallerData": _rule(text=_any),
        "m:Unsubscribe": _rule("m:SubscriptionId"),
        "m:SubscriptionId": _rule(text=_filled),
        "t:ExchangeImpersonation": _rule("t:ConnectingSID"),
        "t:ConnectingSID": _rule("t:PrincipalName|t:SID|t:PrimarySmtpAddress|t:SmtpAddress"),
        "t:PrincipalName": _rule(text=_filled),
        "t:SID": _rule(text=_filled),
        "t:PrimarySmtpAddress": _rule(text=_filled),
        "t:SmtpAddress": _rule(text=_filled),
        "t:TimeZoneContext": Rule(open=True),
    }.items()
}

OPERATIONS = frozenset(
    {
        "ConvertId",
        "FindFolder",
        "FindItem",
        "GetFolder",
        "GetItem",
        "ResolveNames",
        "Subscribe",
        "SyncFolderHierarchy",
        "Unsubscribe",
    }
)


def read_request(content: bytes) -> Request:
    """A checked request.

    Raises ServerFault: ErrorSchemaValidation, ErrorInvalidServerVersion, ErrorInvalidRequest.
    """
    body, header = parse_envelope(content)
    version, identity = _read_header(header)
    name = etree.QName(body)
    if name.namespace != MESSAGES:
        raise violation(body, f"the operation {name.localname} is not in the namespace {MESSAGES}")
    if name.localname not in OPERATIONS:
        raise ServerFault("ErrorInvalidRequest", f"The simulator has no operation {name.localname}.")
    check(body)
    return Request(name.localname, body, version, identity)


def _read_header(header: etree._Element | None) -> tuple[str | None, tuple[str, str] | None]:
    version, identity = None, None
    for element in header if header is not None else ():
        if element.tag == f"{T}RequestServerVersion":
            version = element.get("Version", "")
            if not _VERSION(version):
                raise ServerFault("ErrorInvalidServerVersion")
        elif element.tag in GRAMMAR:
            check(element)
            if element.tag == f"{T}ExchangeImpersonation":
                sid = element[0][0]
                identity = (etree.QName(sid).localname, (sid.text or "").strip())
        elif etree.QName(element).localname in ("RequestServerVersion", "ExchangeImpersonation"):
            raise violation(element, f"{etree.QName(element).localname} is not in the namespace {TYPES}")
    return version, identity


def check(element: etree._Element) -> None:
    """Raises ServerFault (ErrorSchemaValidation) where the element or one below it breaks its rule."""
    rule = GRAMMAR[element.tag]
    if rule.open:
        return
    _check_attributes(element, rule)
    text = element.text or ""
    if rule.text is not None:
        if len(element):
            raise violation(element, f"{element.tag} has children")
        if not rule.text(text):
            raise violation(element, f"the value {text!r} of {element.tag} is invalid")
        return
    if text.strip() or any((child.tail or "").strip() for child in element):
        raise violation(element, f"{element.tag} contains text")
    _check_children(element, rule)


def _check_attributes(element: etree._Element, rule: Rule) -> None:
    if missing := rule.required.keys() - element.attrib.keys():
        raise violation(element, f"{element.tag} lacks the attribute {', '.join(sorted(missing))}")
    for name, value in element.attrib.items():
        valid = rule.required.get(str(name)) or rule.optional.get(str(name))
        # SOAP's own attributes (mustUnderstand) may stand on a header.
        if valid is None and not str(name).startswith(f"{{{SOAP}}}"):
            raise violation(element, f"{element.tag} has the unknown attribute {name!r}")
        if valid and not valid(str(value)):
            raise violation(element, f"the value {value!r} of {element.tag}/@{name!r} is invalid")


def _check_children(element: etree._Element, rule: Rule) -> None:
    children = list(element)
    position = 0
    for particle in rule.children:
        count = 0
        while position < len(children) and count < particle.high and children[position].tag in particle.names:
            check(children[position])
            position += 1
            count += 1
        if count < particle.low:
            expected = " or ".join(sorted(particle.names))
            raise violation(element, f"{element.tag} lacks {expected} at this place")
    if position < len(children):
        raise violation(element, f"{element.tag} has an invalid child {children[position].tag} at this place")
