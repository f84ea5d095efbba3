"""The table ``leases``: who may do what only one may at a time. One that is not renewed ends by itself.

Whoever finds a lease held and must not be forgotten leaves a mark in its record, at which the holder looks
when giving it back. In case the holder was killed one message has to come back after the lease's end: when
it does is noted too, so that all who wait have one together.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.errors import StateConflict
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import Lease, Wanted

_LATER = timedelta(seconds=1)
"""By how much the message comes after the lease's end: clocks differ."""

_TOLERANCE = timedelta(seconds=5)
"""By how much the clocks of instances and storage may differ, and a queue rounds."""

_FREE = {"until": "", "token": "", "wanted": False}


class Leases:
    """Leases by name."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("leases")

    async def acquire(self, name: str, now: datetime, duration: timedelta) -> Lease | None:
        """Take the lease, or None where somebody else has it."""
        lease = Lease(name, now + duration, secrets.token_hex(8))
        while True:
            entity = await self._table.get("lease", name)
            if entity is not None and entity["token"] == lease.token:
                # An answer got lost and the call was repeated: the conflict was with ourselves.
                return lease
            if _held_until(entity, now) is not None:
                return None
            keys = entity or {"PartitionKey": "lease", "RowKey": name}
            record = keys | _held(lease) | {"since": write_instant(now), "wanted": False}
            try:
                if entity is None:
                    await self._table.insert(record)
                else:
                    await self._table.replace(record, entity.metadata["etag"] or "")
            except StateConflict:
                continue
            return lease

    async def acquire_or_want(
        self, name: str, now: datetime, duration: timedelta, *, asked: datetime | None = None
    ) -> Lease | Wanted:
        """Take the lease, or leave the mark that somebody else wanted it meanwhile.

        What was ``asked`` for before the holder began is done by the holder.
        """
        while True:
            lease = await self.acquire(name, now, duration)
            if lease is not None:
                return lease
            if (wanted := await self._want(name, now, asked)) is not None:
                return wanted

    async def renew(self, lease: Lease, now: datetime, duration: timedelta) -> Lease | None:
        """Prolong a lease, or None where it was lost."""
        renewed = Lease(lease.name, now + duration, lease.token)
        while (entity := await self._table.get("lease", lease.name)) and entity["token"] == lease.token:
            try:
                await self._table.replace(dict(entity) | _held(renewed), entity.metadata["etag"] or "")
            except StateConflict:
                continue
            return renewed
        return None

    async def release(self, lease: Lease) -> bool:
        """Give a lease back, if it is still held; tell whether somebody else wanted it meanwhile.

        Whoever is told so has to have that done.
        """
        wanted = False
        while (entity := await self._table.get("lease", lease.name)) and entity["token"] == lease.token:
            wanted = entity.get("wanted", False)
            try:
                await self._table.replace(dict(entity) | _FREE, entity.metadata["etag"] or "")
            except StateConflict:
                continue
            break
        return wanted

    async def _want(self, name: str, now: datetime, asked: datetime | None) -> Wanted | None:
        """Leave the mark, or None where the lease is free by now."""
        entity = await self._table.get("lease", name)
        held_until = _held_until(entity, now)
        if entity is None or held_until is None:
            return None
        since = read_instant(entity.get("since"))
        if asked is not None and since is not None and asked + _TOLERANCE < since:
            return Wanted()
        comes_at = read_instant(entity.get("comes_at"))
        comes = comes_at is not None and comes_at > now
        if comes and entity.get("wanted"):
            return Wanted()
        record = dict(entity) | {"wanted": True}
        if not comes:
            record["comes_at"] = write_instant(held_until + _LATER)
        try:
            await self._table.replace(record, entity.metadata["etag"] or "")
        except StateConflict:
            return None
        return Wanted() if comes else Wanted(held_until + _LATER - now)


def _held_until(entity: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """The end of a lease that is held, or None where it is free."""
    until = read_instant(entity["until"]) if entity is not None else None
    return until if until is not None and until > now else None


def _held(lease: Lease) -> dict[str, str]:
    return {"until": write_instant(lease.until), "token": lease.token}
