"""Replicate the PBX's users: who is new, who changed, who left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import batched
from typing import Protocol

from shared.errors import PbxError, PbxUnavailable
from shared.model import User
from shared.pbx.protocol import Identity, TableRow, candidate_addresses
from shared.settings import PbxSettings, Scope
from shared.sync.interfaces import (
    GROUP,
    PARTITIONS,
    Change,
    Clock,
    Health,
    Heartbeat,
    Lease,
    Leases,
    Listing,
    Users,
    WorkQueues,
)
from shared.sync.leaving import Farewell
from shared.sync.trouble import add_failure

_log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
TASK = "directory"
_LEASE = timedelta(minutes=5)
"""Renewed while a replication runs, which takes an hour where the way to a PBX with many users is long."""

_BY_ITSELF = ("hourly", "overdue")
"""Reasons of replications that may be left out while one runs: the next comes by itself."""

_SIDE_BY_SIDE = 32

type Listed = dict[str, tuple[User, tuple[str, ...]]]
"""Users in scope by guid, with the addresses under which Exchange may know them."""


class PbxSession(Protocol):
    """A signed-in session with the PBX. ``identity`` is None where the Admin API isn't granted."""

    identity: Identity | None

    def users(self) -> AsyncIterator[TableRow]:
        """All rows of the users table; raises PbxUnavailable when it breaks off."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How many users a replication added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(self.added + other.added, self.changed + other.changed, self.removed + other.removed)


class _LeaseLostError(Exception):
    """Another run works by now."""


@dataclass(slots=True)
class _Hold:
    """The right to replicate, prolonged in time."""

    leases: Leases
    lease: Lease
    clock: Clock

    async def keep(self) -> None:
        """Prolong the lease where it is half over. Raises _LeaseLostError."""
        now = self.clock()
        if self.lease.until - now > _LEASE / 2:
            return
        renewed = await self.leases.renew(self.lease, now, _LEASE)
        if renewed is None:
            raise _LeaseLostError
        self.lease = renewed


@dataclass(frozen=True, slots=True)
class Directory:
    """Keeps the stored users equal to the PBX's, as far as they are in scope."""

    users: Users
    listing: Listing
    farewell: Farewell
    leases: Leases
    health: Health
    queues: WorkQueues
    connect: Callable[[], AbstractAsyncContextManager[PbxSession]]
    settings: PbxSettings
    clock: Clock

    async def run(self, reason: str = "hourly", asked: datetime | None = None) -> Changes | None:
        """Replicate, and store when that was and how it went; None where it failed or another run works.

        Where another one works that began before somebody or a change ``asked`` for this one, it is asked
        for again after it.
        """
        lease = await self._take_lease(reason, asked)
        if lease is None:
            return None
        hold = _Hold(self.leases, lease, self.clock)
        began = self.clock()
        trouble = await self.health.trouble("pbx")
        changes = None
        error = ""
        reached = False
        try:
            async with self.connect() as session:
                reached = True
                listed = await self._list(session, hold)
            changes = await self._follow(listed, hold)
            if trouble is not None:
                await self.health.set_trouble("pbx", None)
        except PbxError as failure:
            error = str(failure)
            if reached:
                # Of the users alone: presences go on being told.
                _log.error("users not listed", extra={"code": type(failure).__name__, "reason": error})
            else:
                _log.error("pbx unavailable", extra={"code": type(failure).__name__, "reason": error})
                await self.health.set_trouble("pbx", add_failure(trouble, failure, self.clock()))
        except _LeaseLostError:
            _log.warning("replication overtaken by another")
            return None
        finally:
            if await self.leases.release(hold.lease):
                await self.queues.replicate("wanted meanwhile")
        now = self.clock()
        await self.health.beat(Heartbeat(TASK, now, (now - began).total_seconds(), error))
        return changes

    async def _take_lease(self, reason: str, asked: datetime | None) -> Lease | None:
        if reason in _BY_ITSELF:
            return await self.leases.acquire(TASK, self.clock(), _LEASE)
        found = await self.leases.acquire_or_want(TASK, self.clock(), _LEASE, asked=asked)
        if isinstance(found, Lease):
            return found
        if found.after is not None:
            await self.queues.replicate("another run was killed", found.after)
        return None

    async def _list(self, session: PbxSession, hold: _Hold) -> dict[str, Listed]:
        """The users in scope, by partition. What comes later of a user replaces what came before.

        Raises:
            PbxUnavailable: the replication broke off, or listed nobody at all while users are stored.
        """
        settings = self.settings
        domain = session.identity.domain if session.identity else settings.domain
        listed: dict[str, Listed] = {partition: {} for partition in PARTITIONS}
        count = 0
        async for row in session.users():
            count += 1
            part = listed[row.guid[0]]
            if row.user is not None and _in_scope(row.user, settings):
                part[row.guid] = (row.user, candidate_addresses(row, domain))
            else:
                part.pop(row.guid, None)
            await hold.keep()
        if not count:
            async for _ in self.users.everybody():
                raise PbxUnavailable("The PBX listed no users at all; the stored ones are kept.")
        return listed

    async def _follow(self, listed: dict[str, Listed], hold: _Hold) -> Changes:
        """Have the stored users follow those that were listed to the end."""
        changes = Changes()
        subscribe: list[str] = []
        for partition, part in listed.items():
            await hold.keep()
            changes += await self._follow_part(partition, part, hold, subscribe)
            whole = len(subscribe) // GROUP * GROUP
            await self.queues.subscribe(subscribe[:whole], "directory")
            del subscribe[:whole]
        # Where a run is killed before this the upkeep misses a sign of life.
        await self.queues.subscribe(subscribe, "directory")
        await hold.keep()
        await self.listing.store([user for part in listed.values() for user, _ in part.values()])
        _log.info("directory replicated", extra=asdict(changes))
        return changes

    async def _follow_part(
        self, partition: str, listed: Listed, hold: _Hold, subscribe: list[str]
    ) -> Changes:
        """Follow the changes of one partition, and add to ``subscribe`` who has to be subscribed to."""
        stored = {known.user.guid: known async for known in self.users.in_partition(partition)}
        now = self.clock()
        arrived: list[tuple[User, tuple[str, ...]]] = []
        changed: list[Change] = []
        read: list[str] = []
        for guid, (user, candidates) in listed.items():
            known = stored.get(guid)
            if known is None or known.leaving:
                arrived.append((user, candidates))
                subscribe.append(guid)
            elif (known.user, known.candidates) != (user, candidates):
                moved = known.candidates != candidates
                renamed = known.user.sip != user.sip and not moved and known.is_active
                # A run that is killed before it asks for the reading leaves the mark for the upkeep.
                changed.append(Change(user, candidates, moved, now if renamed else None))
                if moved and known.is_active:
                    subscribe.append(guid)
                elif renamed:
                    read.append(guid)
        await self.users.add_all(arrived)
        await self.users.update_all(changed)
        await self.queues.read(read, "directory")
        gone = [guid for guid in stored if guid not in listed]
        waits = False
        for left in batched(gone, _SIDE_BY_SIDE, strict=False):
            await hold.keep()
            waits = any(await asyncio.gather(*map(self.farewell.leave, left))) or waits
        if waits:
            await self.queues.publish("directory")
        return Changes(len(listed.keys() - stored.keys()), len(changed), len(gone))


async def is_overdue(health: Health, clock: Clock) -> bool:
    """Whether the replication has to be started now, because its timer was silent or the last run failed."""
    last = await health.heartbeat(TASK)
    if last is None:
        return True
    trouble = await health.trouble("pbx")
    if last.error:
        return trouble is None or trouble.retry_at <= clock()
    return clock() - last.at > EVERY + timedelta(minutes=15)


def _in_scope(user: User, settings: PbxSettings) -> bool:
    if settings.scope is Scope.APP:
        return settings.scope_app in user.apps
    if settings.scope is Scope.GROUPS:
        return not set(settings.scope_groups).isdisjoint(user.groups)
    return True
