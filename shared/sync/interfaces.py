"""What the use cases need from outside, and the values that pass between them and it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.model import (
    Agenda,
    Appointment,
    CalendarUser,
    Failure,
    MailboxState,
    Presence,
    Subscription,
    User,
)

Clock = Callable[[], datetime]
"""Tells the present instant in UTC."""


# ---- Exchange


class Reading(Protocol):
    """A mailbox's appointments as they were read, in any order."""

    @property
    def appointments(self) -> tuple[Appointment, ...]: ...


class CalendarSource[R: Reading](Protocol):
    """Where calendars are read: Exchange Web Services, and whatever may follow them.

    Every method raises ExchangeError and nothing else.
    """

    async def find_mailbox(self, address: str) -> str | None:
        """The primary address of the mailbox that has this address, or None where there is none."""

    async def read(self, mailbox: str, start: datetime, end: datetime) -> R:
        """The appointments that overlap the window."""

    async def add_organizers(self, mailbox: str, reading: R, wanted: Sequence[str]) -> R:
        """The same reading, with the organizers' addresses of the appointments with these ids."""

    async def subscribe(self, mailbox: str, callback_url: str) -> str:
        """Have changes of this mailbox told to a callback; return the subscription's id."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to have so many requests to Exchange under way: one for each of ``slots``."""

    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """No request to Exchange before this time has passed."""

    duration: timedelta


class Budget(Protocol):
    """The number of requests under way to Exchange, shared by all instances."""

    async def acquire(self, wanted: int, now: datetime, *, probe: bool = False) -> Grant | Pause:
        """Up to ``wanted`` slots, at least one, or how long to wait.

        A ``probe`` is one slot, and there is one at a time over all instances.
        """

    async def pause(self, now: datetime) -> Pause | None:
        """How long Exchange wants to be left alone, whoever was told so; None where it does not."""

    async def release(self, grant: Grant, now: datetime, pause: timedelta | None) -> None:
        """Give slots back; ``pause`` is how long Exchange wants to be left alone, None after a success."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How many requests to Exchange may be under way, how many are, and the end of the pause it asked for."""

    limit: int
    in_use: int
    not_before: datetime | None


# ---- the state

GROUP = 20
"""Users in one message: an execution is billed a second at least, and one message is done well within it."""

ROUNDS = ("midnight", "poll")
"""Reasons of readings that are part of a round over all users."""

PARTITIONS = tuple("0123456789abcdef")
"""Users' records lie in 16 parts, by the first digit of the guid."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the PBX changed of a user. ``resolve_again``: the addresses, so that another mailbox is theirs.

    ``read_requested_at`` is set where the calendar has to be read again.
    """

    user: User
    candidates: tuple[str, ...]
    resolve_again: bool = False
    read_requested_at: datetime | None = None


class Users(Protocol):
    """The users this service knows. Changing one who is gone raises StateConflict."""

    async def get(self, guid: str) -> CalendarUser | None: ...
    async def get_many(self, guids: Collection[str]) -> dict[str, CalendarUser]: ...
    def everybody(self) -> AsyncIterator[CalendarUser]: ...
    def in_partition(self, partition: str) -> AsyncIterator[CalendarUser]: ...
    def neglected(
        self, *, silent_before: datetime, overdue_before: datetime
    ) -> AsyncIterator[CalendarUser]: ...
    async def add(self, user: User, candidates: tuple[str, ...]) -> None: ...
    async def add_all(self, arrived: Iterable[tuple[User, tuple[str, ...]]]) -> None: ...
    async def update(self, user: User, candidates: tuple[str, ...], *, resolve_again: bool) -> None: ...
    async def update_all(self, changes: Iterable[Change]) -> None: ...
    async def set_leaving(self, guid: str) -> None: ...
    async def remove(self, guid: str) -> None: ...
    async def exclude(self, guid: str) -> None: ...
    async def include(self, guid: str) -> None: ...
    async def set_cleared(self, guid: str) -> None: ...
    async def forget_mailbox(self, guid: str) -> None: ...
    async def set_mailbox(self, guid: str, state: MailboxState, address: str = "") -> None: ...
    async def begin_subscribing(self, guid: str, mailbox: str, now: datetime) -> None: ...
    async def set_subscription(self, guid: str, subscription: Subscription | None) -> None: ...
    async def set_last_sign(self, guid: str, now: datetime) -> None: ...
    async def set_read_requested(self, guid: str, now: datetime | None) -> None: ...
    async def set_failure(self, guid: str, failure: Failure | None) -> None: ...
    async def set_subscription_failure(self, guid: str, failure: Failure | None) -> None: ...


class Listing(Protocol):
    """All users by their names, to be searched and shown page by page."""

    async def store(self, users: Sequence[User]) -> int:
        """Have exactly these users listed."""


class Agendas(Protocol):
    """What was read last for each user."""

    async def get(self, guid: str) -> Agenda | None: ...
    async def get_many(self, guids: Collection[str]) -> dict[str, Agenda]: ...
    async def save(self, guid: str, agenda: Agenda) -> Agenda: ...
    async def remove(self, guid: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Due:
    """A user whose presence must be computed in ``minute``."""

    minute: str
    guid: str


class DueTimes(Protocol):
    """Whose presence changes by itself, and when."""

    async def schedule(self, guid: str, at: datetime) -> None: ...
    async def schedule_all(self, moments: Iterable[tuple[str, datetime]]) -> None: ...
    async def due(self, now: datetime, limit: int) -> list[Due]: ...
    async def done(self, handled: Iterable[Due]) -> None: ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A presence that waits for the PBX. ``activity`` is as the PBX writes it.

    ``leaving`` means that the user is forgotten once the PBX has acknowledged. ``not_before`` is set after
    the PBX refused it ``attempts`` times.
    """

    guid: str
    sip: str
    activity: str
    note: str
    leaving: bool
    attempts: int
    not_before: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A presence that a user is to have. ``order`` sorts a user's wishes: an earlier one never wins."""

    guid: str
    sip: str
    order: str
    presence: Presence


class Presences(Protocol):
    """The presences on their way to the PBX: the latest wins, and nothing is told twice."""

    async def put(self, guid: str, sip: str, order: str, presence: Presence) -> bool:
        """Want this presence; tell whether something waits now. An earlier ``order`` never wins."""

    async def put_all(self, wishes: Iterable[Wish]) -> set[str]:
        """The same for many users, each of them once; the guids of those for whom something waits."""

    async def withdraw(self, guid: str) -> bool:
        """Clear the presence of a user who leaves; tell whether something waits now."""

    async def doubt(self, partition: str) -> str:
        """Have the PBX told anew what it was told about these users; a guid among them, or empty."""

    async def take(self, now: datetime, limit: int, partitions: Collection[str]) -> list[Pending]:
        """About so many that wait in these partitions, marked as being sent."""

    async def waits(self) -> bool:
        """Whether anything waits."""

    async def refused(self) -> list[str]:
        """The guids of those whose presence the PBX has refused and who wait for a repeat."""

    async def acknowledge(self, told: Iterable[Pending], now: datetime) -> None:
        """The PBX has taken these."""

    async def refuse(self, pending: Pending, error: str, not_before: datetime) -> None:
        """The PBX refused this one."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do ``name`` until ``until``. ``token`` tells its holder from others."""

    name: str
    until: datetime
    token: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody else has the lease, and will learn that it was wanted.

    ``after`` is when to ask again, once for all who wait, in case the holder was killed; None where that
    was done by another.
    """

    after: timedelta | None = None


class Leases(Protocol):
    """Who may do what only one may at a time."""

    async def acquire(self, name: str, now: datetime, duration: timedelta) -> Lease | None: ...
    async def acquire_or_want(
        self, name: str, now: datetime, duration: timedelta, *, asked: datetime | None = ...
    ) -> Lease | Wanted: ...
    async def renew(self, lease: Lease, now: datetime, duration: timedelta) -> Lease | None: ...
    async def release(self, lease: Lease) -> bool:
        """Give it back; tell whether somebody else wanted it meanwhile. That has to be asked for then."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a system can't be used. Nobody tries again before ``retry_at``; ``attempts`` failed so far."""

    code: str
    text: str
    since: datetime
    attempts: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last run of a task: when it ended, how many seconds it took, its error or an empty text."""

    name: str
    at: datetime
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a round over all users has come: the partitions ``done``, and the ``users`` asked for.

    ``key`` says which round: a local date, or an instant. ``ended`` is None until everybody was asked for,
    ``last_read`` when the last calendar was read for it until now.
    """

    key: str
    done: int = 0
    users: int = 0
    began: datetime | None = None
    ended: datetime | None = None
    last_read: datetime | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """The users by their state, as counted at ``at`` within so many ``seconds``; who leaves isn't counted.

    ``total`` is the sum of ``with_mailbox``, ``without_mailbox``, ``unresolved`` and ``excluded``; the other
    numbers are of users who are not excluded. Of the ``failing``, ``retrying`` wait for a repeat, and to the
    mailboxes of ``refused`` Exchange does not subscribe. ``silent`` of the ``subscribed`` gave no sign of
    life for too long. ``reading_since`` is since when the oldest request for a reading has waited.
    ``presences_refused`` are users whose presence the PBX has refused, and which waits for a repeat.
    """

    at: datetime
    seconds: float = 0.0
    total: int = 0
    with_mailbox: int = 0
    without_mailbox: int = 0
    unresolved: int = 0
    excluded: int = 0
    failing: int = 0
    refused: int = 0
    retrying: int = 0
    subscribed: int = 0
    silent: int = 0
    oldest_sign: datetime | None = None
    newest_sign: datetime | None = None
    reading_since: datetime | None = None
    presences_refused: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """All of `Health` at once: troubles by system, heartbeats by task, rounds by name."""

    troubles: Mapping[str, Trouble]
    heartbeats: Mapping[str, Heartbeat]
    rounds: Mapping[str, Progress]
    census: Census | None


class Health(Protocol):
    """What an administrator wants to know at a glance."""

    async def overview(self) -> Overview: ...
    async def trouble(self, system: str) -> Trouble | None: ...
    async def set_trouble(self, system: str, trouble: Trouble | None) -> None: ...
    async def beat(self, heartbeat: Heartbeat) -> None: ...
    async def heartbeat(self, name: str) -> Heartbeat | None: ...
    async def progress(self, name: str) -> Progress | None: ...
    async def set_progress(self, name: str, progress: Progress) -> None: ...
    async def set_last_read(self, name: str, at: datetime) -> None: ...
    async def census(self) -> Census | None: ...
    async def set_census(self, census: Census) -> None: ...


class WorkQueues(Protocol):
    """Asks for work to be done soon, or after a while."""

    async def read(self, users: Iterable[str], reason: str, delay: timedelta = ...) -> None: ...
    async def subscribe(self, users: Iterable[str], reason: str, delay: timedelta = ...) -> None: ...
    async def publish(self, reason: str, users: Sequence[str] = (), delay: timedelta = ...) -> None: ...
    async def replicate(self, reason: str, delay: timedelta = ...) -> None: ...
    async def catch_up(self, task: str) -> None: ...
    async def configure(self, reason: str, delay: timedelta = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class QueueLength:
    """About how many messages wait in a queue, those for later included, and were given up.

    ``oldest`` is since when the first has waited that could be worked on now.
    """

    name: str
    waiting: int
    given_up: int
    oldest: datetime | None


class QueueWatch(Protocol):
    """How much work waits."""

    async def waiting(self, queue: str) -> int:
        """About how many messages a queue holds, those for later included."""

    async def lengths(self) -> list[QueueLength]:
        """All queues, looked at side by side."""


class Callbacks(Protocol):
    """The addresses to which Exchange sends notifications, one a user, with a secret in each."""

    def address_of(self, guid: str) -> str: ...
    def verify(self, guid: str, secret: str) -> bool: ...
