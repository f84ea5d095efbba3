"""One simulated installation: the app's functions between an Exchange and a PBX that have bad days."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import functions.services
from shared.cipher import Cipher
from shared.environment import Environment
from shared.presence import PresenceRules
from shared.settings import parse_section
from shared.state.config import ConfigStore
from shared.state.storage import Storage
from tests.faults.chaos import Chaos
from tests.faults.exchange import CalendarPort, Exchange
from tests.faults.host import URL, Host, hosted
from tests.faults.memory import MemoryQueues, MemoryTables
from tests.faults.oracle import Oracle, Regime
from tests.faults.pbx import STAFF, Pbx
from tests.faults.process import Process, StoragePort

RULES = PresenceRules(timezone="Europe/Berlin")

_KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


class Services(functions.services.Services):
    """A worker process's services, with Exchange replaced by the model."""

    def __init__(self, environment: Environment, storage: Storage, source: CalendarPort) -> None:
        with patch.object(Storage, "open", return_value=storage):
            super().__init__(environment)
        self._simulated = source

    def _source(self, settings: object) -> Any:
        return self._simulated


class World:
    """Everything there is, from ``start`` on. ``tables`` is the table service, in memory or a real one."""

    def __init__(
        self, chaos: Callable[[Callable[[], datetime]], Chaos], start: datetime, tables: Any
    ) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.chaos = chaos(self.clock)
        self.environment = Environment.read(
            {
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "CALENDAR_ENCRYPTION_KEYS": _KEY,
                "CALENDAR_CALLBACK_URL": URL,
            }
        )
        self.tables = tables
        if isinstance(tables, MemoryTables):
            tables.page = lambda: self.chaos.latency.randint(2, 20)
        self.queues = MemoryQueues(self._loop.time)
        self.exchange = Exchange(self.chaos, self.clock, lambda url, body: self.host.post(url, body))
        self.pbx = Pbx(self.chaos, self.clock)
        self.host = Host(self.chaos, self.clock, self.queues, self._build)
        self.oracle = Oracle(self.exchange, self.pbx, [Regime(start, RULES)])
        # Not one of the app's: what it asks never fails.
        self._config = ConfigStore(
            Storage(tables, self.queues),  # type: ignore[arg-type]
            Cipher(self.environment.encryption_keys),
        )
        self.storage_down = False
        self._rules, self._disabled = RULES, False

    def clock(self) -> datetime:
        """The simulated instant in UTC."""
        return self._start + timedelta(seconds=self._loop.time() - self._began)

    async def sleep_until(self, moment: datetime) -> None:
        """Let the simulated time pass."""
        await asyncio.sleep((moment - self.clock()).total_seconds())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service, configured and started."""
        await self._config.load()
        for name, values in _SECTIONS.items():
            await self._config.save(name, parse_section(name, values), None, "setup", self.clock())
        with hosted(self.host, self.clock, self._loop.time, self.pbx.connect), quiet_logs():
            await self.host.start()
            yield

    def _build(self, process: Process) -> functions.services.Services:
        storage = Storage(TablesPort(self, process), QueuesPort(self, process))  # type: ignore[arg-type]
        return Services(self.environment, storage, self.exchange.source(process))

    def save(self, section: str, **changes: object) -> None:
        """Have an administrator change settings of a section."""

        async def save(services: functions.services.Services) -> None:
            stored = await services.config.load_section(section)
            await services.configurator().save(section, _SECTIONS[section] | changes, stored.etag, "admin")

        self.host.act("save", save)

    def exclude(self, guid: str, excluded: bool) -> None:
        """Have an administrator keep a user out, or let them in again."""
        self.host.act("exclude", lambda services: services.actions().exclude(guid, excluded))

    def is_storage_down(self) -> bool:
        """Whether the storage account is away."""
        return self.storage_down

    def saw(self, name: str, operation: str, values: tuple[Any, ...]) -> None:
        """Take note of what the service stores of calendars, and of what an administrator has stored."""
        record = values[0] if values and isinstance(values[0], dict) else {}
        if name == "config" and "values" in record:
            self._note_section(record["RowKey"], json.loads(record["values"]))
        if name == "users" and "excluded" in record:
            self._note_excluded(record["RowKey"], record["excluded"])
        elif name == "users" and operation == "delete_entity":
            self._note_excluded(values[1], False)
        if name == "users":
            steps = values[0] if operation == "submit_transaction" else [(operation, record)]
            for replicated in (step[1] for step in steps if "candidates" in step[1]):
                self.oracle.replicate(replicated["RowKey"], json.loads(replicated["candidates"]))
        if name != "agendas":
            return
        if operation in ("create_entity", "update_entity", "upsert_entity"):
            task = asyncio.current_task()
            reading = self.exchange.last_read.get(task) if task else None
            if reading is not None:
                guid = values[0]["RowKey"]
                self.oracle.learn(guid, reading)
                self.chaos.say(f"{guid[:4]} stored, read at {reading.taken_at:%H:%M:%S.%f}")
        elif operation == "delete_entity":
            self.oracle.forget(values[1])
            self.chaos.say(f"{values[1][:4]} deleted")

    def _note_section(self, section: str, values: dict[str, Any]) -> None:
        if section == "exchange":
            self._disabled = values["sync_type"] == "disabled"
        elif section == "presence":
            self._rules = PresenceRules.from_mapping(values)
        self.oracle.regimes.append(Regime(self.clock(), None if self._disabled else self._rules))
        self.chaos.say(f"{section} is configured anew")

    def _note_excluded(self, guid: str, excluded: bool) -> None:
        history = self.oracle.excluded[guid]
        if excluded != (bool(history) and history[-1][1]):
            history.append((self.clock(), excluded))
            self.chaos.say(f"{guid[:4]} is {'excluded' if excluded else 'let in'}")


class TablesPort:
    """One process's way to the table service."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def get_table_client(self, name: str) -> StoragePort:
        """One table."""
        return _port(self._world, self._process, self._world.tables.get_table_client(name), name)

    async def create_table_if_not_exists(self, name: str, **transport: object) -> None:
        """Create a table."""
        await self._world.tables.create_table_if_not_exists(name, **transport)

    async def close(self) -> None:
        """The service is everybody's."""


class QueuesPort:
    """One process's way to the queue service."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def get_queue_client(self, name: str, **_policies: object) -> StoragePort:
        """One queue."""
        return _port(self._world, self._process, self._world.queues.get_queue_client(name), f"queue {name}")

    async def close(self) -> None:
        """The service is everybody's."""


def _port(world: World, process: Process, client: Any, name: str) -> StoragePort:
    return StoragePort(process, client, name, world.is_storage_down, world.saw)


_SECTIONS: dict[str, dict[str, Any]] = {
    "pbx": {
        "address": "pbx.example.com",
        "name": "pbx",
        "password": "secret",
        "scope": "groups",
        "scope_groups": [STAFF],
    },
    "exchange": {
        "sync_type": "on-premises",
        "user": "calendar@example.com",
        "password": "secret",
        "url": "mail.example.com",
    },
    "presence": {"timezone": RULES.timezone},
}


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Faults are logged by thousands; nobody reads them here."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


def seed_jitter(seed: int) -> None:
    """Have the service's own jitter repeat itself."""
    random.seed(seed)
