"""Replicate the PBX's users: who is new, who changed, who left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import Protocol

from shared.errors import PbxError, PbxUnavailable
from shared.model import CalendarUser, User
from shared.pbx.protocol import Identity, TableRow, candidate_addresses
from shared.settings import PbxSettings, Scope
from shared.sync.interfaces import Clock, Health, Heartbeat, Leases, Users, WorkQueues
from shared.sync.leaving import Farewell
from shared.sync.trouble import add_failure

_log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
TASK = "directory"
_LEASE = timedelta(minutes=20)
_SIDE_BY_SIDE = 32


class PbxSession(Protocol):
    """A signed-in session with the PBX. ``identity`` is None where the Admin API isn't granted."""

    identity: Identity | None

    def users(self) -> AsyncIterator[TableRow]:
        """All rows of the users table; raises PbxUnavailable when it breaks off."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How many users a replication added, changed and removed."""

    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class Directory:
    """Keeps the stored users equal to the PBX's, as far as they are in scope."""

    users: Users
    farewell: Farewell
    leases: Leases
    health: Health
    queues: WorkQueues
    connect: Callable[[], AbstractAsyncContextManager[PbxSession]]
    settings: PbxSettings
    clock: Clock

    async def run(self) -> Changes | None:
        """Replicate, and store when that was and how it went; None where it failed or another run works."""
        lease = await self.leases.acquire(TASK, self.clock(), _LEASE)
        if lease is None:
            return None
        began = self.clock()
        trouble = await self.health.trouble("pbx")
        changes = None
        error = ""
        try:
            async with self.connect() as session:
                changes = await self.replicate(session)
            if trouble is not None:
                await self.health.set_trouble("pbx", None)
        except PbxError as failure:
            error = str(failure)
            _log.error("pbx unavailable", extra={"code": type(failure).__name__, "reason": error})
            await self.health.set_trouble("pbx", add_failure(trouble, failure, self.clock()))
        finally:
            await self.leases.release(lease)
        now = self.clock()
        await self.health.beat(Heartbeat(TASK, now, (now - began).total_seconds(), error))
        return changes

    async def replicate(self, session: PbxSession) -> Changes:
        """Compare the PBX's users with the stored ones and follow what changed.

        Nothing is removed unless the replication came to its end.

        Raises:
            PbxUnavailable: the replication broke off, or listed nobody at all while users are stored.
        """
        settings = self.settings
        domain = session.identity.domain if session.identity else settings.domain
        listed: dict[str, tuple[User, tuple[str, ...]]] = {}
        count = 0
        async for row in session.users():
            count += 1
            if row.user is not None and _in_scope(row.user, settings):
                listed[row.guid] = (row.user, candidate_addresses(row, domain))
            else:
                listed.pop(row.guid, None)
        stored = {known.user.guid: known async for known in self.users.everybody()}
        if stored and not count:
            raise PbxUnavailable("The PBX listed no users at all; the stored ones are kept.")
        return await self._follow(listed, stored)

    async def _follow(
        self, listed: dict[str, tuple[User, tuple[str, ...]]], stored: dict[str, CalendarUser]
    ) -> Changes:
        subscribe: list[str] = []
        read: list[str] = []
        changed = 0
        writes: list[Callable[[], Awaitable[object]]] = []
        for guid, (user, candidates) in listed.items():
            known = stored.get(guid)
            if known is None or known.leaving:
                writes.append(partial(self.users.add, user, candidates))
                subscribe.append(guid)
            elif (known.user, known.candidates) != (user, candidates):
                changed += 1
                moved = known.candidates != candidates
                writes.append(partial(self.users.update, user, candidates, resolve_again=moved))
                if moved and known.is_active:
                    subscribe.append(guid)
                elif known.user.sip != user.sip and known.is_active:
                    read.append(guid)
        for group in batched(writes, _SIDE_BY_SIDE, strict=False):
            await asyncio.gather(*(write() for write in group))
        gone = [guid for guid in stored if guid not in listed]
        waits = False
        for left in batched(gone, _SIDE_BY_SIDE, strict=False):
            waits = any(await asyncio.gather(*map(self.farewell.leave, left))) or waits
        await self.queues.subscribe(subscribe, "directory")
        await self.queues.read(read, "directory")
        if waits:
            await self.queues.publish("directory")
        changes = Changes(len(listed.keys() - stored.keys()), changed, len(gone))
        _log.info("directory replicated", extra=asdict(changes))
        return changes


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
