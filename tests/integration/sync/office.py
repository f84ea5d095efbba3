"""A world with a stored configuration, whose queues are worked off as the functions do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet

from shared.cipher import Cipher
from shared.settings import Configuration, SyncType
from shared.state.applied import AppliedStore
from shared.state.config import ConfigStore
from shared.state.locations import LocationStore
from shared.state.storage import Table
from shared.sync.actions import Actions
from shared.sync.applying import Applier
from shared.sync.changes import Effect
from shared.sync.configuring import Configurator, Stored
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import World

PBX = {"address": "pbx.example.com", "name": "master", "password": "pbx secret"}
EXCHANGE = {
    "sync_type": "on-premises",
    "user": "calendar@example.com",
    "password": "ews secret",
    "url": "mail.example.com",
}
PRESENCE = {"timezone": "Europe/Berlin"}

SECTIONS: Mapping[str, Mapping[str, Any]] = {"pbx": PBX, "exchange": EXCHANGE, "presence": PRESENCE}


@dataclass
class Office(World):
    """An administrator's view: save, act, and let the service work."""

    key: str = field(default_factory=lambda: Fernet.generate_key().decode())
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cipher = Cipher([self.key])
        self.config = ConfigStore(self.storage, self.cipher)
        self.applied = AppliedStore(self.storage)
        self.locations = LocationStore(self.storage)

    @property
    def applier(self) -> Applier:
        return Applier(
            self.config,
            self.applied,
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
            self.cipher.fingerprint,
            self.clock,
        )

    @property
    def configurator(self) -> Configurator:
        return Configurator(self.config, self.applier, self.clock)

    @property
    def actions(self) -> Actions:
        return Actions(self.users, self.farewell, self.applier, self.queues)

    async def save(self, name: str, /, **changes: Any) -> Stored:
        """Save a section with these values changed; its secrets as in `SECTIONS`."""
        etag = (await self.config.load_section(name)).etag
        return await self.configurator.save(name, dict(SECTIONS[name]) | changes, etag, "anna")

    async def open(self) -> None:
        """Everything is configured for the first time."""
        for name in SECTIONS:
            await self.save(name)

    async def work(self) -> list[Order]:
        """Do all that is asked for, and what that asks for, at once; return what was asked for."""
        done: list[Order] = []
        while orders := self.queues.take():
            done += orders
            for order in orders:
                await self.do(order)
        return done

    async def do(self, order: Order) -> None:
        """What the function of a queue does with a message."""
        used = await self.config.load()
        self.rules = used.presence.rules
        match order.queue:
            case "configure":
                await self.applier.run()
            case "publish" if not used.pbx.missing():
                ended = used.exchange.sync_type is SyncType.DISABLED
                await self.publisher.publish(order.users, ended=ended)
                await self.applier.catch_up(used, everybody=[Effect.TELL_ANEW, Effect.RETIRE])
            case "directory" if not used.missing():
                await self.directory.run()
                await self.applier.catch_up(used)
            case "subscribe" if not used.missing():
                await self.subscriber.subscribe(order.users, order.reason)
                await self.applier.catch_up(used, order.users)
            case "sync" if not used.missing():
                await self.reader.read(order.users, order.reason, self.rules)
                await self.applier.catch_up(used, order.users)

    async def configured(self) -> Configuration:
        return await self.config.load()


class Killed(BaseException):
    """The process ends, whatever it is doing."""


class Killer:
    """Kills at a write to a table or a queue: the next ``after``, none that follows succeeds."""

    def __init__(self, office: Office, monkeypatch: Any) -> None:
        self.left: int | None = None
        for name in ("insert", "replace", "put", "merge", "delete", "transact"):
            monkeypatch.setattr(Table, name, self._dying(getattr(Table, name)))
        for name in ("read", "subscribe", "publish", "replicate", "configure"):
            monkeypatch.setattr(type(office.queues), name, self._dying(getattr(type(office.queues), name)))

    def arm(self, after: int) -> None:
        self.left = after

    def disarm(self) -> bool:
        """Whether it has struck."""
        struck = self.left is not None and self.left < 0
        self.left = None
        return struck

    def _dying(self, method: Any) -> Any:
        async def dying(*arguments: Any, **named: Any) -> Any:
            if self.left is not None:
                if self.left <= 0:
                    self.left = -1
                    raise Killed
                self.left -= 1
            return await method(*arguments, **named)

        return dying
