"""Whatever happens in whatever order: in the end the PBX shows what was wanted last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from shared.model import Activity, Presence
from shared.state.outbox import Outbox
from shared.state.storage import Storage
from shared.sync.interfaces import Pending
from tests.storage import empty, environment_of

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USERS = ("a" * 32, "a" + "b" * 31, "c" * 32)
"""Two of them in one partition."""

FREE = Presence(Activity.AVAILABLE, "Free", None)
PRESENCES = (
    FREE,
    Presence(Activity.BUSY, "Busy", NOW + MINUTE),
    Presence(Activity.AWAY, "Away", NOW + MINUTE),
)
NOTHING = ("", "")


class Pbx(RuleBasedStateMachine):
    """An outbox, a PBX, and two publishers of which each may be killed at any time.

    A publisher tells what it took in one go: a lease keeps the other one from telling meanwhile, but not from
    being late with acknowledging.
    """

    connection = ""
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.storage = self.runner.run(self._open())
        self.outbox = Outbox(self.storage)
        self.now = NOW
        self.order = 0
        self.wanted: dict[str, Presence | None] = {}
        self.highest: dict[str, int] = {}
        self.shown = dict.fromkeys(USERS, NOTHING)
        self.told: list[Pending] = []
        self.perhaps: set[str] = set()
        self.sent = 0

    async def _open(self) -> Storage:
        storage = Storage.open(environment_of(self.connection))
        await empty(storage)
        return storage

    def teardown(self) -> None:
        self.runner.run(self._quiet())
        self.runner.run(self.storage.close())

    async def _quiet(self) -> None:
        """Publish until nothing waits; then compare."""
        self.now += timedelta(days=1)
        await self._acknowledge()
        for _ in range(3):
            told = await self.outbox.take(self.now, 1000)
            self._tell(told)
            await self.outbox.acknowledge(told, self.now)
        assert not await self.outbox.waits()
        for guid in USERS:
            presence = self.wanted.get(guid)
            expected = (presence.activity.on_pbx, presence.note) if presence else NOTHING
            if presence == FREE and self.shown[guid] == NOTHING:
                continue  # A bare free is not told of who never had a presence.
            assert self.shown[guid] == expected

    def _tell(self, told: list[Pending]) -> None:
        for pending in told:
            if self.shown[pending.guid] == NOTHING and pending.guid not in self.perhaps:
                assert (pending.activity, pending.note) != ("", "Free"), "a bare free"
            self.shown[pending.guid] = (pending.activity, pending.note)
            self.sent += 1

    async def _acknowledge(self) -> None:
        told, self.told = self.told, []
        await self.outbox.acknowledge(told, self.now)

    @rule(guid=st.sampled_from(USERS), presence=st.sampled_from(PRESENCES), late=st.integers(0, 2))
    def want(self, guid: str, presence: Presence, late: int) -> None:
        self.order += 1
        order = max(self.order - late, 1)
        if order >= self.highest.get(guid, 0):
            self.highest[guid] = order
            self.wanted[guid] = presence
        self.runner.run(self.outbox.put(guid, "sip", f"{order:09d}", presence))

    @rule(guid=st.sampled_from(USERS))
    def withdraw(self, guid: str) -> None:
        self.wanted[guid] = None
        self.highest[guid] = 0
        self.order += 3  # None who left is wanted by an earlier order.
        self.runner.run(self.outbox.withdraw(guid))

    @rule(killed=st.booleans())
    def publish(self, killed: bool) -> None:
        """Take and tell; a publisher that isn't killed acknowledges at some later time."""
        told = self.runner.run(self.outbox.take(self.now, 1000))
        self._tell(told)
        if not killed:
            self.told += told

    @rule()
    def take_and_be_killed(self) -> None:
        self.perhaps |= {pending.guid for pending in self.runner.run(self.outbox.take(self.now, 1000))}

    @rule()
    def acknowledge(self) -> None:
        self.runner.run(self._acknowledge())

    @rule(minutes=st.integers(0, 2))
    def refuse(self, minutes: int) -> None:
        for pending in self.runner.run(self.outbox.take(self.now, 1000)):
            self.perhaps.add(pending.guid)
            self.runner.run(self.outbox.refuse(pending, "no", self.now + minutes * MINUTE))
        self.now += MINUTE

    @rule(guid=st.sampled_from(USERS), presence=st.sampled_from(PRESENCES))
    def want_again_and_publish(self, guid: str, presence: Presence) -> None:
        """The same again after everything was acknowledged sends nothing."""
        self.want(guid, presence, 0)
        self.runner.run(self._quiet_now())
        sent = self.sent
        self.want(guid, presence, 0)
        self.runner.run(self._quiet_now())
        assert self.sent == sent

    async def _quiet_now(self) -> None:
        await self._acknowledge()
        self.now += timedelta(hours=1)
        for _ in range(2):
            told = await self.outbox.take(self.now, 1000)
            self._tell(told)
            await self.outbox.acknowledge(told, self.now)


@contextmanager
def machine(connection: str) -> Iterator[type[Pbx]]:
    """The machine, with an event loop of its own."""
    with asyncio.Runner() as runner:
        yield type("PbxAt", (Pbx,), {"connection": connection, "runner": runner})


def test_in_the_end_the_pbx_shows_what_was_wanted_last(azurite: str) -> None:
    with machine(azurite) as at, asyncio.Runner() as runner:
        runner.run(_create(azurite))
        run_state_machine_as_test(
            at,
            settings=settings(
                max_examples=12,
                stateful_step_count=8,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


async def _create(connection: str) -> None:
    async with Storage.open(environment_of(connection)) as storage:
        await storage.create()
