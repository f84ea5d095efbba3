"""An Exchange, a PBX and queues that do what a test says, and remember what was asked of them."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.errors import ExchangeError, PbxError, PbxUnavailable, PresenceRefused
from shared.model import Appointment, User
from shared.pbx.protocol import Identity, TableRow
from shared.pbx.session import Assignment, Outcome
from shared.sync.interfaces import QueueLength


@dataclass(frozen=True, slots=True)
class Reading:
    """What `FakeExchange` reads."""

    appointments: tuple[Appointment, ...]


@dataclass(slots=True)
class FakeExchange:
    """``calendars`` by primary address, ``aliases`` of primary addresses, ``organizers`` by appointment.

    ``down`` fails every request, ``failing`` those of a mailbox, ``refusing`` its subscriptions only;
    ``before_answer`` is awaited with the operation's name when the answer is ready.
    """

    calendars: dict[str, list[Appointment]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    organizers: dict[str, str] = field(default_factory=dict)
    down: ExchangeError | None = None
    failing: dict[str, Exception] = field(default_factory=dict)
    refusing: dict[str, ExchangeError] = field(default_factory=dict)
    before_answer: Callable[[str], Awaitable[object]] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    callbacks: dict[str, str] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0

    def count(self, operation: str) -> int:
        return Counter(name for name, _ in self.asked)[operation]

    async def find_mailbox(self, address: str) -> str | None:
        await self._ask("find_mailbox", address)
        return address if address in self.calendars else self.aliases.get(address)

    async def read(self, mailbox: str, start: datetime, end: datetime) -> Reading:
        self.windows.append((start, end))
        found = [a for a in self.calendars.get(mailbox, ()) if a.start < end and a.end > start]
        await self._ask("read", mailbox)
        return Reading(tuple(found))

    async def add_organizers(self, mailbox: str, reading: Reading, wanted: Sequence[str]) -> Reading:
        await self._ask("add_organizers", mailbox)
        return Reading(
            tuple(
                replace(a, organizer=self.organizers[a.id]) if a.id in wanted else a
                for a in reading.appointments
            )
        )

    async def subscribe(self, mailbox: str, callback_url: str) -> str:
        await self._ask("subscribe", mailbox)
        if mailbox in self.refusing:
            raise self.refusing[mailbox]
        self.callbacks[mailbox] = callback_url
        return f"subscription {self.count('subscribe')}"

    async def _ask(self, operation: str, about: str) -> None:
        self.asked.append((operation, about))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.before_answer is not None:
                await self.before_answer(operation)
        finally:
            self.under_way -= 1
        if self.down is not None:
            raise self.down
        if about in self.failing:
            raise self.failing[about]


@dataclass(slots=True)
class FakePbx:
    """``rows`` is the users table, ``presences`` what each user shows, ``told`` every SetPresence taken.

    ``down`` fails every connection, ``refusing`` one user's presence; the connection is lost after
    ``lost_after`` presences, once, and the replication after ``broken_after`` rows.
    """

    identity: Identity | None = field(default_factory=lambda: Identity("master", "pbx.example.com"))
    rows: list[TableRow] = field(default_factory=list)
    presences: dict[str, tuple[str, str]] = field(default_factory=dict)
    told: list[Assignment] = field(default_factory=list)
    down: PbxError | None = None
    refusing: dict[str, PresenceRefused] = field(default_factory=dict)
    lost_after: int | None = None
    broken_after: int | None = None
    before_answer: Callable[[], Awaitable[object]] | None = None
    connections: int = 0
    open: int = 0

    def list_users(self, *users: User) -> None:
        self.rows = [TableRow(user.guid, user) for user in users]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["FakePbx"]:
        self.connections += 1
        if self.down is not None:
            raise self.down
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    async def users(self) -> AsyncIterator[TableRow]:
        for number, row in enumerate(self.rows):
            if number == self.broken_after:
                raise PbxUnavailable("The PBX closed the connection.")
            yield row

    async def set_presences(self, assignments: Sequence[Assignment]) -> list[Outcome]:
        outcomes = []
        for assignment in assignments:
            error: PbxError | None = self.refusing.get(assignment.guid)
            if self.lost_after == 0:
                error = PbxUnavailable("The PBX closed the connection.")
            elif error is None:
                self.presences[assignment.guid] = (assignment.activity, assignment.note)
                self.told.append(assignment)
                self.lost_after = None if self.lost_after is None else self.lost_after - 1
            outcomes.append(Outcome(assignment, error))
        if self.lost_after == 0:
            self.lost_after = None
        if self.before_answer is not None:
            await self.before_answer()
        return outcomes


@dataclass(frozen=True, slots=True)
class Order:
    """Work that was asked for."""

    queue: str
    users: tuple[str, ...]
    reason: str
    delay: timedelta = timedelta()


@dataclass(slots=True)
class FakeQueues:
    """The queues, as a list."""

    orders: list[Order] = field(default_factory=list)

    async def read(self, users: Iterable[str], reason: str, delay: timedelta = timedelta()) -> None:
        self._add("sync", users, reason, delay)

    async def subscribe(self, users: Iterable[str], reason: str, delay: timedelta = timedelta()) -> None:
        self._add("subscribe", users, reason, delay)

    async def publish(self, reason: str, users: Sequence[str] = (), delay: timedelta = timedelta()) -> None:
        self.orders.append(Order("publish", tuple(users), reason, delay))

    async def replicate(self, reason: str, delay: timedelta = timedelta()) -> None:
        self.orders.append(Order("directory", (), reason, delay))

    async def catch_up(self, task: str) -> None:
        self.orders.append(Order("overdue", (), task))

    async def configure(self, reason: str, delay: timedelta = timedelta()) -> None:
        self.orders.append(Order("configure", (), reason, delay))

    def _add(self, queue: str, users: Iterable[str], reason: str, delay: timedelta) -> None:
        if guids := tuple(users):
            self.orders.append(Order(queue, guids, reason, delay))

    def take(self) -> list[Order]:
        """All that was asked for since the last time."""
        orders, self.orders = self.orders, []
        return orders

    def users_of(self, queue: str) -> list[str]:
        """For whom it was asked, in order of the guids; it stays asked for."""
        return sorted(guid for order in self.orders if order.queue == queue for guid in order.users)


@dataclass(slots=True)
class FakeWatch:
    """Queues that are as long as a test says."""

    messages: dict[str, int] = field(default_factory=dict)
    oldest: dict[str, datetime] = field(default_factory=dict)

    async def waiting(self, queue: str) -> int:
        return self.messages.get(queue, 0)

    async def lengths(self) -> list[QueueLength]:
        return [
            QueueLength(name, self.messages.get(name, 0), 0, self.oldest.get(name))
            for name in sorted({*self.messages, *self.oldest})
        ]


@dataclass(frozen=True, slots=True)
class FakeCallbacks:
    """Callback addresses without a secret."""

    def address_of(self, guid: str) -> str:
        return f"https://calendar.example.com/{guid}"

    def verify(self, guid: str, secret: str) -> bool:
        return secret == guid
