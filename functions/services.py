"""Everything the functions need, built once for each worker process."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic
from weakref import WeakKeyDictionary

from functions import telemetry
from functions.exchange import ExchangeTransport, delegated_tokens, find_exchange, open_transport, source_at
from shared.auth.delegated import DelegatedTokens
from shared.cipher import Cipher
from shared.environment import Environment
from shared.ews.client import Reading as ExchangeReading
from shared.ews.discovery import Found, Search
from shared.ews.located import LocatedSource
from shared.ews.location import Locator, Wanted
from shared.ews.recorder import Recorder
from shared.ews.source import ExchangeSource
from shared.ews.transport import Transport
from shared.metrics import Metrics
from shared.pbx.session import PbxLink, PbxSession, open_session
from shared.settings import (
    Configuration,
    ExchangeSettings,
    PbxSettings,
    Server,
)
from shared.state.agendas import AgendaStore
from shared.state.applied import AppliedStore
from shared.state.audit import AuditStore
from shared.state.budget import HIGHEST, Budget
from shared.state.census import CensusTaker
from shared.state.checks import CheckStore
from shared.state.config import ConfigStore
from shared.state.counters import CounterStore
from shared.state.due import DueIndex
from shared.state.health import Health
from shared.state.leases import Leases
from shared.state.listing import Listing
from shared.state.locations import LocationStore
from shared.state.outbox import Outbox
from shared.state.queues import QueueWatch, Work, WorkQueues
from shared.state.recordings import RecordingStore
from shared.state.storage import Storage
from shared.state.tokens import TokenStore
from shared.state.users import UserStore
from shared.sync.actions import Actions
from shared.sync.applying import Applier
from shared.sync.checking import Checker, Given, Part, Planned
from shared.sync.checking_exchange import ExchangePart, ExchangeWays, plan_for
from shared.sync.checking_pbx import PLAN as PBX_PLAN
from shared.sync.checking_pbx import PbxPart
from shared.sync.configuring import Configurator
from shared.sync.directory import Directory
from shared.sync.interfaces import Heartbeat
from shared.sync.leaving import Farewell
from shared.sync.midnight import Midnight
from shared.sync.notification import Receiver
from shared.sync.overdue import Overdue
from shared.sync.poison import PoisonRecorder
from shared.sync.polling import Polling
from shared.sync.presenting import Presenter
from shared.sync.publishing import Publisher
from shared.sync.reading import Reader
from shared.sync.rounds import Rounds
from shared.sync.status import StatusCollector
from shared.sync.subscribing import STATUS_FREQUENCY, Subscriber
from shared.sync.throttling import Throttle
from shared.sync.tick import Ticker
from shared.sync.upkeep import Upkeep

_log = logging.getLogger(__name__)

CONFIGURATION_LIFE = 5.0
"""Seconds for which a worker goes on with the configuration it has read."""

_LINGER = 120.0
"""Seconds after which the connections of a former configuration are closed: their requests are done."""


def now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The addresses to which Exchange sends notifications: the user's guid and a secret made for it."""

    base: str
    cipher: Cipher

    def address_of(self, guid: str) -> str:
        """The address for one user."""
        return f"{self.base}/api/notifications/{guid}/{self.cipher.sign(guid)}"

    def verify(self, guid: str, secret: str) -> bool:
        """Whether the secret was made for this user."""
        return self.cipher.verify(guid, secret)


class Services:
    """The stores, and the use cases over them for a configuration."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.storage = Storage.open(environment)
        cipher = Cipher(environment.encryption_keys)
        self.callbacks = Callbacks(environment.callback_url, cipher)
        self.config = ConfigStore(self.storage, cipher)
        self.tokens = TokenStore(self.storage, cipher)
        self.checks = CheckStore(self.storage, cipher)
        self._authority = environment.authority
        self.users = UserStore(self.storage)
        self.listing = Listing(self.storage, self.users)
        self.agendas = AgendaStore(self.storage)
        self.due = DueIndex(self.storage)
        self.outbox = Outbox(self.storage)
        self.leases = Leases(self.storage)
        self.budget = Budget(self.storage)
        self.health = Health(self.storage)
        self.counters = CounterStore(self.storage)
        self.instruments = telemetry.instruments()
        self.metrics = Metrics(self.counters, secrets.token_hex(8), self.instruments)
        self.recordings = RecordingStore(self.storage)
        self.audit = AuditStore(self.storage)
        self.queues = WorkQueues(self.storage, telemetry.traceparent)
        self.waiting = QueueWatch(self.storage)
        self.overdue = Overdue(self.health, self.leases, self.queues, now)
        self.farewell = Farewell(self.users, self.agendas, self.outbox)
        self.presenter = Presenter(self.agendas, self.due, self.outbox, self.farewell, now)
        self._read_at = -inf
        self.locations = LocationStore(self.storage)
        self.applier = Applier(
            self.config,
            AppliedStore(self.storage),
            self.users,
            self.agendas,
            self.outbox,
            self.presenter,
            self.farewell,
            self.budget,
            self.locations,
            self.health,
            self.leases,
            self.queues,
            cipher.fingerprint,
            now,
        )
        self._exchange: tuple[ExchangeSettings, ExchangeTransport, LocatedSource] | None = None
        self._former: set[ExchangeTransport] = set()

    async def configuration(self) -> Configuration:
        """The present configuration, at most `CONFIGURATION_LIFE` old.

        Where anybody in this process has found a newer one, that one: who went on with the former would find
        at the end of each execution that it was replaced, and ask for the effects of that again.
        """
        if self.config.known is None or monotonic() - self._read_at > CONFIGURATION_LIFE:
            await self.config.load()
            self._read_at = monotonic()
        assert self.config.known is not None
        return self.config.known

    def receiver(self) -> Receiver:
        """Takes Exchange's notifications."""
        return Receiver(self.users, self.queues, now)

    def configurator(self) -> Configurator:
        """Saves what an administrator enters."""
        return Configurator(self.config, self.applier, now)

    def actions(self) -> Actions:
        """What an administrator does to users."""
        return Actions(self.users, self.farewell, self.applier, self.queues)

    def poison(self) -> PoisonRecorder:
        """Takes the messages that the queues have given up."""
        return PoisonRecorder(self.users, self.health, now)

    def ticker(self) -> Ticker:
        """Presents anew what changes by itself."""
        return Ticker(self.users, self.due, self.presenter, self.health, self.queues, now)

    def midnight(self) -> Midnight:
        """Starts the day."""
        return Midnight(self._rounds(), self.health, now)

    def polling(self) -> Polling:
        """Reads everybody regularly."""
        return Polling(self._rounds(), self.health, self.waiting, now)

    def status(self) -> StatusCollector:
        """Tells how everything is."""
        return StatusCollector(self.health, self.budget, self.waiting, self.counters, now)

    def upkeep(self) -> Upkeep:
        """Finds what was forgotten."""
        census = CensusTaker(self.storage)
        return Upkeep(
            self.users, self.outbox, self.farewell, self.health, self.queues, self.waiting, census, now
        )

    def reader(self, settings: ExchangeSettings) -> Reader[ExchangeReading]:
        """Reads calendars."""
        source = self._source(settings)
        throttle = self._throttle(settings)
        return Reader(
            source, self.users, self.agendas, self.presenter, throttle, self.queues, self.health, now
        )

    def subscriber(self, settings: ExchangeSettings) -> Subscriber[ExchangeReading]:
        """Finds mailboxes and subscribes to them."""
        source = self._source(settings)
        throttle = self._throttle(settings)
        return Subscriber(source, self.users, self.callbacks, self.farewell, throttle, self.queues, now)

    def sign_in(self, settings: ExchangeSettings) -> DelegatedTokens:
        """Begins, completes, shows and revokes the delegated sign-in; to be closed. Raises SettingsError."""
        return delegated_tokens(settings, self.tokens, self._authority)

    def directory(self, settings: PbxSettings) -> Directory:
        """Replicates the PBX's users."""
        return Directory(
            self.users,
            self.listing,
            self.farewell,
            self.leases,
            self.health,
            self.queues,
            lambda: _open_session(settings),
            settings,
            now,
        )

    def publisher(self, settings: PbxSettings) -> Publisher:
        """Tells the PBX what waits."""
        return Publisher(
            self.outbox,
            self.farewell,
            self.leases,
            self.health,
            self.queues,
            lambda: _open_session(settings),
            now,
        )

    def checker(self) -> Checker:
        """Tests the connection with settings that need not be saved."""
        return Checker(self.checks, self.queues.check, self._divide, now)

    @asynccontextmanager
    async def execution(self, function: str, work: Work | None = None) -> AsyncIterator[None]:
        """Measure an execution of a function, and trace it to where its message came from.

        At its end the counters are written and overdue timers are looked for, where it is time.
        """
        began = monotonic()
        try:
            with telemetry.span(function, work):
                yield
        finally:
            self.metrics.observe(function, monotonic() - began)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Write the counters and look for overdue timers, where it is time; fails nothing that is done."""
        try:
            self.metrics.count("overdue", await self.overdue.look())
        except Exception as error:
            _log.warning("overdue timers not looked for", exc_info=error)
        await self.metrics.flush(now())

    @asynccontextmanager
    async def heartbeat(self, task: str) -> AsyncIterator[None]:
        """Store that a task has run, how long it took, and whether it failed."""
        began = now()
        error = "killed"
        try:
            yield
            error = ""
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            ended = now()
            await self.health.beat(Heartbeat(task, ended, (ended - began).total_seconds(), error))

    async def close(self) -> None:
        """Close all connections."""
        transports = self._former | ({self._exchange[1]} if self._exchange else set())
        await asyncio.gather(*(each.aclose() for each in transports))
        await self.storage.close()

    def _throttle(self, settings: ExchangeSettings) -> Throttle:
        budget = Budget(self.storage, most=settings.max_subscriptions)
        return Throttle(budget, self.users, self.health, now)

    def _source(self, settings: ExchangeSettings) -> LocatedSource:
        if self._exchange is None or self._exchange[0] != settings:
            if self._exchange is not None:
                self._retire(self._exchange[1])
            transport = open_transport(settings, self.tokens, connections=HIGHEST, authority=self._authority)
            recorded = self._recorded(transport, settings)

            def connect(url: str) -> ExchangeSource:
                return source_at(url, recorded, settings, STATUS_FREQUENCY.seconds // 60)

            async def search(begun: Search) -> Found:
                return await find_exchange(begun, settings)

            source = LocatedSource(
                Locator(self.locations, search, now),
                Wanted(settings.ews_url, settings.user, settings.server is Server.INTERNAL),
                connect,
                self._exchange_failed,
                now,
            )
            self._exchange = (settings, transport, source)
        return self._exchange[2]

    def _divide(self, given: Given) -> list[tuple[Sequence[Planned], Part]]:
        """What a check of these settings consists of."""
        parts: list[tuple[Sequence[Planned], Part]] = []
        if (exchange := given.exchange) is not None:
            ways = ExchangeWays(
                lambda search: find_exchange(search, exchange),
                lambda: open_transport(exchange, self.tokens, connections=1, authority=self._authority),
                lambda url, transport, minutes: source_at(url, transport, exchange, minutes),
            )
            part = ExchangePart(exchange, given.address, ways, self.checks, self.callbacks, now)
            parts.append((plan_for(exchange), part))
        if given.pbx is not None:
            parts.append((PBX_PLAN, PbxPart(given.pbx, _open_session)))
        return parts

    def _rounds(self) -> Rounds:
        return Rounds(self.users, self.health, self.leases, self.queues, now)

    async def _exchange_failed(self) -> bool:
        return await self.health.trouble("exchange") is not None

    def _recorded(self, transport: Transport, settings: ExchangeSettings) -> Transport:
        """The transport, with what passes through it recorded where the administrator wants that."""
        if not settings.debug_until:
            return transport
        until = datetime.fromisoformat(settings.debug_until)
        return Recorder(transport, self.recordings, now, until, settings.debug_subjects)

    def _retire(self, transport: ExchangeTransport) -> None:
        """Close connections when the requests that use them are done."""

        async def linger() -> None:
            await asyncio.sleep(_LINGER)
            await transport.aclose()
            self._former.discard(transport)

        self._former.add(transport)
        lingering = asyncio.create_task(linger())
        _lingering.add(lingering)
        lingering.add_done_callback(_lingering.discard)


_lingering: set[asyncio.Task[None]] = set()
_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Services] = WeakKeyDictionary()
_lifetimes: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncIterator[Services]] = WeakKeyDictionary()


async def services() -> Services:
    """The services of this worker process: its connections belong to its event loop.

    Raises:
        InvalidSettings: app settings are missing or wrong.
    """
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        lifetime = _live(Environment.read(os.environ))
        _lifetimes[loop] = lifetime
        _of_loop[loop] = await anext(lifetime)
    return _of_loop[loop]


async def _live(environment: Environment) -> AsyncIterator[Services]:
    """Services that are closed when the loop shuts down: that is when it ends its generators."""
    running = Services(environment)
    try:
        yield running
    finally:
        await running.close()


def _open_session(settings: PbxSettings) -> AbstractAsyncContextManager[PbxSession]:
    return open_session(
        PbxLink(
            settings.url,
            settings.name,
            settings.app,
            settings.password.get_secret_value(),
            settings.certificate,
        )
    )
