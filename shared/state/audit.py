"""The table ``audit``: who of the administrators did what, and when; the latest comes first."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched

from shared.errors import StateConflict
from shared.state.storage import TRANSACTION_LIMIT, Storage, read_instant, write_instant

KEPT = timedelta(days=90)
"""How long it is known who did what."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = 10**17
"""Microseconds from 1970 on that no clock reaches."""

_LONGEST = 4000
"""Characters of what is told about one action."""


@dataclass(frozen=True, slots=True)
class Action:
    """What an administrator did: ``who`` by name, ``what`` in a word, and in ``about`` what it concerned."""

    at: datetime
    who: str
    what: str
    about: str = ""
    id: str = ""
    """Where it stands in the list; given by the store."""


class AuditStore:
    """Writes and reads what administrators did."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("audit")

    async def record(self, action: Action) -> None:
        """Add what was done."""
        await self._table.insert(
            {
                "PartitionKey": "action",
                # Two may act at once.
                "RowKey": f"{_left(action.at)}{secrets.token_hex(4)}",
                "at": write_instant(action.at),
                "who": action.who[:_LONGEST],
                "what": action.what[:_LONGEST],
                "about": action.about[:_LONGEST],
            }
        )

    async def latest(self, limit: int, after: str = "") -> Sequence[Action]:
        """At most ``limit`` actions, the latest first, from behind the one whose ``id`` is ``after``.

        Raises:
            ValueError: no action has such an id.
        """
        if not re.fullmatch("[0-9a-f]*", after):
            raise ValueError(f"{after!r} is no action's id")
        filter = f"PartitionKey eq 'action' and RowKey gt '{after}'"
        return [
            Action(
                read_instant(entity["at"]) or _EPOCH,
                entity["who"],
                entity["what"],
                entity["about"],
                entity["RowKey"],
            )
            async for entity in self._table.query(filter, limit=limit)
        ]

    async def prune(self, now: datetime) -> None:
        """Forget what is older than `KEPT`."""
        # Behind the hexadecimal end of a row of that very instant.
        filter = f"PartitionKey eq 'action' and RowKey gt '{_left(now - KEPT)}g'"
        keys = ["PartitionKey", "RowKey"]
        old = [("delete", entity) async for entity in self._table.query(filter, select=keys)]
        # Somebody else may be quicker.
        with suppress(StateConflict):
            for operations in batched(old, TRANSACTION_LIMIT, strict=False):
                await self._table.transact(operations)


def _left(at: datetime) -> str:
    """The later, the smaller."""
    return f"{_END - (at - _EPOCH) // timedelta(microseconds=1):017d}"
