"""All use cases over real tables, with a clock that stands until a test moves it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.model import Appointment, CalendarUser, MailboxState, Subscription, User
from shared.presence import PresenceRules
from shared.settings import PbxSettings
from shared.state.agendas import AgendaStore
from shared.state.budget import Budget
from shared.state.census import CensusTaker
from shared.state.due import DueIndex
from shared.state.health import Health
from shared.state.leases import Leases
from shared.state.listing import Listing
from shared.state.outbox import Outbox
from shared.state.storage import Storage
from shared.state.users import UserStore
from shared.sync.directory import Directory
from shared.sync.leaving import Farewell
from shared.sync.midnight import Midnight
from shared.sync.notification import Receiver
from shared.sync.poison import PoisonRecorder
from shared.sync.polling import Polling
from shared.sync.presenting import Presenter
from shared.sync.publishing import Publisher
from shared.sync.reading import Reader
from shared.sync.rounds import Rounds
from shared.sync.subscribing import Subscriber
from shared.sync.throttling import Throttle
from shared.sync.tick import Ticker
from shared.sync.upkeep import Upkeep
from tests.integration.sync.fakes import FakeCallbacks, FakeExchange, FakePbx, FakeQueues, FakeWatch, Reading

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
"""A Monday, ten o'clock in Berlin."""

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

BERLIN = PresenceRules(timezone="Europe/Berlin")


def guid_of(name: str) -> str:
    """A guid that begins with the name's first letter, where that is a hex digit."""
    return (name[0] + name.encode().hex()).ljust(32, "0")[:32]


def person(name: str, **others: object) -> User:
    """A PBX user with one address."""
    fields: dict[str, object] = {"emails": (f"{name}@example.com",), "common_name": name} | others
    return User(guid_of(name), name, **fields)  # type: ignore[arg-type]


def appoint(start: str, end: str, subject: str = "Meeting", **others: object) -> Appointment:
    """An appointment between two UTC times of the first day, or of another: ``24T10:00``."""
    return Appointment(subject, _at(start), _at(end), subject, **others)  # type: ignore[arg-type]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text if 'T' in text else '23T' + text}").replace(tzinfo=UTC)


@dataclass
class World:
    """The service, its surroundings, and what time it is."""

    storage: Storage
    now: datetime = START
    rules: PresenceRules = BERLIN
    exchange: FakeExchange = field(default_factory=FakeExchange)
    pbx: FakePbx = field(default_factory=FakePbx)
    queues: FakeQueues = field(default_factory=FakeQueues)

    def __post_init__(self) -> None:
        self.users = UserStore(self.storage)
        self.listing = Listing(self.storage, self.users)
        self.agendas = AgendaStore(self.storage)
        self.due = DueIndex(self.storage)
        self.outbox = Outbox(self.storage)
        self.leases = Leases(self.storage)
        self.budget = Budget(self.storage)
        self.health = Health(self.storage)
        self.census = CensusTaker(self.storage)
        self.waiting = FakeWatch()
        self.farewell = Farewell(self.users, self.agendas, self.outbox)
        self.presenter = Presenter(self.agendas, self.due, self.outbox, self.farewell, self.clock)
        self.throttle = Throttle(self.budget, self.users, self.health, self.clock)
        self.callbacks = FakeCallbacks()
        self.directory_settings = PbxSettings(domain="pbx.example.com")

    def clock(self) -> datetime:
        return self.now

    @property
    def reader(self) -> Reader[Reading]:
        return Reader(
            self.exchange,
            self.users,
            self.agendas,
            self.presenter,
            self.throttle,
            self.queues,
            self.health,
            self.clock,
        )

    @property
    def subscriber(self) -> Subscriber[Reading]:
        return Subscriber(
            self.exchange, self.users, self.callbacks, self.farewell, self.throttle, self.queues, self.clock
        )

    @property
    def receiver(self) -> Receiver:
        return Receiver(self.users, self.queues, self.clock)

    @property
    def ticker(self) -> Ticker:
        return Ticker(self.users, self.due, self.presenter, self.health, self.queues, self.clock)

    @property
    def midnight(self) -> Midnight:
        return Midnight(self.rounds, self.health, self.clock)

    @property
    def rounds(self) -> Rounds:
        return Rounds(self.users, self.health, self.leases, self.queues, self.clock)

    @property
    def polling(self) -> Polling:
        return Polling(self.rounds, self.health, self.waiting, self.clock)

    @property
    def upkeep(self) -> Upkeep:
        return Upkeep(
            self.users,
            self.outbox,
            self.farewell,
            self.health,
            self.queues,
            self.waiting,
            self.census,
            self.clock,
        )

    @property
    def poison(self) -> PoisonRecorder:
        return PoisonRecorder(self.users, self.health, self.clock)

    @property
    def publisher(self) -> Publisher:
        return Publisher(
            self.outbox,
            self.farewell,
            self.leases,
            self.health,
            self.queues,
            lambda: self.pbx.connect(),
            self.clock,
        )

    @property
    def directory(self) -> Directory:
        return Directory(
            self.users,
            self.listing,
            self.farewell,
            self.leases,
            self.health,
            self.queues,
            lambda: self.pbx.connect(),
            self.directory_settings,
            self.clock,
        )

    async def add(self, *names: str, calendar: Sequence[Appointment] = ()) -> list[str]:
        """Users with a mailbox and a living subscription, none read yet; their guids."""
        for name in names:
            user = person(name)
            mailbox = user.emails[0]
            self.exchange.calendars[mailbox] = list(calendar)
            await self.users.add(user, user.emails)
            await self.users.set_mailbox(user.guid, MailboxState.FOUND, mailbox)
            await self.users.set_subscription(user.guid, Subscription(f"S {name}", self.now, self.now))
        return [guid_of(name) for name in names]

    async def find(self, guid: str) -> CalendarUser:
        """A user who must be there."""
        user = await self.users.get(guid)
        assert user is not None
        return user

    async def read(self, *guids: str) -> None:
        """Read calendars as a worker does."""
        await self.reader.read(guids, "test", self.rules)

    async def notes(self) -> dict[str, str]:
        """What the PBX shows after everything was published: the note by guid."""
        await self.publisher.publish()
        return {guid: note for guid, (_, note) in self.pbx.presences.items()}
