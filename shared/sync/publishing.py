"""Tell the PBX what waits in the outbox: one session for all, one publisher at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from shared.errors import PbxError, PbxLoginRefused, PbxUnavailable, PresenceRefused, WrongPbx
from shared.pbx.session import Assignment, Outcome
from shared.pseudonym import pseudonym
from shared.sync.interfaces import (
    PARTITIONS,
    Clock,
    Health,
    Lease,
    Leases,
    Pending,
    Presences,
    Wanted,
    WorkQueues,
)
from shared.sync.leaving import Farewell
from shared.sync.trouble import add_failure, find_pause

_log = logging.getLogger(__name__)

PAGE = 800
"""Presences taken from the outbox at a time: what one transaction marks in each of the 16 partitions."""

_LEASE = timedelta(minutes=2)
_LOOK_EVERY = 10.0
"""Seconds between two looks at the lease while the PBX takes its time over a page."""

_FAREWELLS = 6
"""Repeats after which a presence need not be cleared any more, over three quarters of an hour."""

_RECONNECTIONS = (0.5, 1.0, 2.0)
"""Seconds before each of the attempts to connect anew; after them the next minute tries again."""


class PbxSession(Protocol):
    """A signed-in session with the PBX."""

    async def set_presences(self, assignments: Sequence[Assignment]) -> list[Outcome]:
        """Set many users' presences and return what became of each."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many presences the PBX has acknowledged and refused, and whether it failed as a whole."""

    presences: int = 0
    refused: int = 0
    failed: bool = False


@dataclass(slots=True)
class _Turn:
    """The lease as it was last renewed, and what came of the presences so far."""

    lease: Lease
    told: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Publisher:
    """Brings the outbox to the PBX."""

    presences: Presences
    farewell: Farewell
    leases: Leases
    health: Health
    queues: WorkQueues
    connect: Callable[[], AbstractAsyncContextManager[PbxSession]]
    clock: Clock

    async def publish(self, guids: Sequence[str] = (), *, ended: bool = False) -> Told:
        """Tell the PBX what waits for these users, or all that waits; return what came of it.

        ``ended`` says that the service is disabled. Whatever presence is wanted then is of a worker that had
        begun before and was killed since: it is cleared instead.

        While another publisher works nothing is done: that one has what waits then told afterwards. Nor
        while the PBX is left alone after a failure: what waits is not lost, and the tick asks again when it
        is time. The PBX's failure is recorded, not raised.
        """
        trouble = await self.health.trouble("pbx")
        if trouble is not None and trouble.retry_at > self.clock():
            return Told()
        lease = await self.leases.acquire_or_want("publisher", self.clock(), _LEASE)
        if isinstance(lease, Wanted):
            if lease.after is not None:
                await self.queues.publish("another publisher was killed", (), lease.after)
            return Told()
        turn = _Turn(lease)
        try:
            await self._drain(turn, {guid[0] for guid in guids} or PARTITIONS, ended)
            if trouble is not None:
                if not turn.told:
                    async with self.connect():
                        _log.info("pbx is back")
                await self.health.set_trouble("pbx", None)
        except PbxError as error:
            await self.health.set_trouble("pbx", add_failure(trouble, error, self.clock()))
            _log.error("pbx unavailable", extra={"code": type(error).__name__, "reason": str(error)})
            return Told(turn.told, turn.refused, failed=True)
        finally:
            if await self.leases.release(turn.lease):
                await self.queues.publish("wanted meanwhile")
        return Told(turn.told, turn.refused)

    async def _keep_turn(self, turn: _Turn) -> bool:
        """Prolong the lease when half of it is over; tell whether it is still held."""
        now = self.clock()
        if turn.lease.until - now > _LEASE / 2:
            return True
        renewed = await self.leases.renew(turn.lease, now, _LEASE)
        if renewed is not None:
            turn.lease = renewed
        return renewed is not None

    @asynccontextmanager
    async def _held(self, turn: _Turn) -> AsyncIterator[None]:
        """Prolong the lease as often as needed: users who are not answered for make a page take minutes."""
        done = asyncio.Event()

        async def keep() -> None:
            while not done.is_set() and await self._keep_turn(turn):
                with suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), _LOOK_EVERY)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            done.set()
            # Not cancelled: a renewal that is under way would be granted and not known of.
            await keeper

    async def _drain(self, turn: _Turn, partitions: Collection[str], ended: bool) -> None:
        failures = 0
        async with AsyncExitStack() as stack:
            session: PbxSession | None = None
            while await self._keep_turn(turn):
                page = await self.presences.take(self.clock(), PAGE, partitions)
                if not page:
                    break
                if ended and (late := [pending for pending in page if not pending.leaving]):
                    for pending in late:
                        await self.farewell.clear(pending.guid)
                    continue
                try:
                    if session is None:
                        session = await stack.enter_async_context(self.connect())
                    async with self._held(turn):
                        await self._tell(session, page, turn)
                    failures = 0
                except PbxUnavailable as error:
                    if isinstance(error, PbxLoginRefused | WrongPbx) or failures == len(_RECONNECTIONS):
                        raise
                    await stack.aclose()
                    session = None
                    await asyncio.sleep(_RECONNECTIONS[failures])
                    failures += 1

    async def _tell(self, session: PbxSession, page: Sequence[Pending], turn: _Turn) -> None:
        """Send a page, and store and count what came of it.

        Raises:
            PbxUnavailable: the connection was lost; what had no answer goes on waiting.
        """
        by_guid = {pending.guid: pending for pending in page}
        outcomes = await session.set_presences([Assignment(p.guid, p.sip, p.activity, p.note) for p in page])
        now = self.clock()
        taken = [by_guid[o.assignment.guid] for o in outcomes if o.error is None]
        await self.presences.acknowledge(taken, now)
        turn.told += len(taken)
        lost = None
        for outcome in outcomes:
            if isinstance(outcome.error, PresenceRefused):
                pending = by_guid[outcome.assignment.guid]
                if pending.leaving and pending.attempts >= _FAREWELLS:
                    # The PBX doesn't know who was deleted there.
                    await self.presences.acknowledge([pending], now)
                    continue
                not_before = now + find_pause(outcome.error, pending.attempts + 1)
                await self.presences.refuse(pending, str(outcome.error), not_before)
                turn.refused += 1
                await self.queues.publish("refused", [pending.guid], not_before - now)
                facts = {"user": pseudonym(pending.guid), "code": outcome.error.code}
                _log.warning("presence refused", extra=facts)
            elif outcome.error is not None and not isinstance(lost, PbxLoginRefused):
                lost = outcome.error
        if lost is not None:
            raise lost
