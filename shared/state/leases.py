"""The table ``leases``: who may do what only one may at a time. One that is not renewed ends by itself."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from shared.errors import StateConflict
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import Lease


class Leases:
    """Leases by name."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("leases")

    async def acquire(self, name: str, now: datetime, duration: timedelta) -> Lease | None:
        """Take the lease, or None where somebody else has it."""
        entity = await self._table.get("lease", name)
        until = now + duration
        try:
            if entity is None:
                return Lease(name, until, await self._table.insert(_record(name, until)))
            held_until = read_instant(entity["until"])
            if held_until is not None and held_until > now:
                return None
            etag = await self._table.replace(_record(name, until), entity.metadata["etag"] or "")
        except StateConflict:
            return None
        return Lease(name, until, etag)

    async def renew(self, lease: Lease, now: datetime, duration: timedelta) -> Lease | None:
        """Prolong a lease, or None where it was lost."""
        until = now + duration
        try:
            return Lease(lease.name, until, await self._table.replace(_record(lease.name, until), lease.etag))
        except StateConflict:
            return None

    async def release(self, lease: Lease) -> None:
        """Give a lease back, if it is still held."""
        try:
            await self._table.replace(_record(lease.name, None), lease.etag)
        except StateConflict:
            return


def _record(name: str, until: datetime | None) -> dict[str, str]:
    # The random value makes every ETag differ, also where the clock stands still.
    return {
        "PartitionKey": "lease",
        "RowKey": name,
        "until": write_instant(until),
        "token": secrets.token_hex(8),
    }
