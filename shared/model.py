"""The nouns of the calendar: users, mailboxes, appointments, presences.

Frozen values without behaviour that needs the outside world: nothing here does I/O or asks the time.
Every instant is an aware ``datetime`` in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ShowAs(StrEnum):
    """Exchange's free/busy status of an appointment."""

    FREE = "free"
    TENTATIVE = "tentative"
    BUSY = "busy"
    OUT_OF_OFFICE = "out_of_office"
    WORKING_ELSEWHERE = "working_elsewhere"
    NO_DATA = "no_data"


class Sensitivity(StrEnum):
    """How private an appointment's owner wants it; anything but *normal* hides the subject."""

    NORMAL = "normal"
    PERSONAL = "personal"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"


class Response(StrEnum):
    """What the mailbox's owner answered to the meeting request."""

    ORGANIZER = "organizer"
    ACCEPT = "accept"
    TENTATIVE = "tentative"
    DECLINE = "decline"
    NO_RESPONSE = "no_response"
    UNKNOWN = "unknown"


class Activity(StrEnum):
    """What a colleague sees at a glance. The PBX writes *available* as an empty string."""

    AVAILABLE = "available"
    BUSY = "busy"
    AWAY = "away"
    DND = "dnd"

    @property
    def on_pbx(self) -> str:
        """The activity as SetPresence carries it."""
        return "" if self is Activity.AVAILABLE else self.value


@dataclass(frozen=True, slots=True)
class Appointment:
    """One calendar item, a series' occurrence included.

    ``id`` is unique within an agenda and the same for the same occurrence at every reading.
    ``end`` is exclusive. ``organizer`` is an SMTP address or empty.
    ``rank`` is None until the subject has been dropped for privacy; then it keeps the rank that the
    subject gave (0, 1 or 2), which later decisions still need.
    """

    id: str
    start: datetime
    end: datetime
    subject: str = ""
    all_day: bool = False
    show_as: ShowAs = ShowAs.BUSY
    sensitivity: Sensitivity = Sensitivity.NORMAL
    organizer: str = ""
    organizer_name: str = ""
    cancelled: bool = False
    response: Response = Response.UNKNOWN
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """What the PBX is told about one user, and when that must be computed again.

    ``changes_at`` is None where nothing lies ahead: the note is then the bare word for *free*.
    """

    activity: Activity
    note: str
    changes_at: datetime | None


@dataclass(frozen=True, slots=True)
class User:
    """A PBX user object as it was replicated.

    ``guid`` is 32 lower-case hex digits. ``sip`` is the user name (``h323``), which SetPresence needs.
    """

    guid: str
    sip: str
    common_name: str = ""
    display_name: str = ""
    emails: tuple[str, ...] = ()
    location: str = ""
    groups: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()


class MailboxState(StrEnum):
    """What is known of a user's mailbox."""

    UNRESOLVED = "unresolved"
    FOUND = "found"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Exchange's promise to report changes of one mailbox. ``last_sign`` is the last notification."""

    id: str
    since: datetime
    last_sign: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a user's calendar can't be synchronised at present.

    ``retry_at`` is None where a repeat waits for the next full synchronisation.
    """

    code: str
    text: str
    since: datetime
    attempts: int
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class CalendarUser:
    """A PBX user as this service knows them.

    ``candidates`` are the addresses under which Exchange may know the user, the likeliest first;
    ``mailbox`` is the primary address found among them. ``subscribing_since`` is when Exchange was
    last asked for a subscription, ``read_requested_at`` while a reading waits in the queue. ``failure`` is
    why the calendar can't be read, ``subscription_failure`` why the mailbox can't be found or subscribed to.
    A user who is ``leaving`` is being forgotten; one who is ``clearing`` was excluded, and the presence has
    still to be cleared.
    """

    user: User
    candidates: tuple[str, ...] = ()
    excluded: bool = False
    mailbox: str = ""
    mailbox_state: MailboxState = MailboxState.UNRESOLVED
    subscription: Subscription | None = None
    subscribing_since: datetime | None = None
    read_requested_at: datetime | None = None
    failure: Failure | None = None
    subscription_failure: Failure | None = None
    leaving: bool = False
    clearing: bool = False

    @property
    def is_active(self) -> bool:
        """Whether the calendar is to be synchronised at all."""
        return not (self.leaving or self.excluded)


@dataclass(frozen=True, slots=True)
class Agenda:
    """A user's appointments of the synchronised window, as read at ``read_at``.

    ``version`` grows with every change. ``due_at`` is when the presence must next be computed.
    ``etag`` is the stored record's, empty for one that is not stored yet.
    """

    appointments: tuple[Appointment, ...]
    read_at: datetime
    window_end: datetime
    version: int
    due_at: datetime | None = None
    etag: str = ""
