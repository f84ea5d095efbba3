"""The table ``budget``: how many requests to Exchange may be under way over all instances.

One record a system holds the slots that are out, each with an end (a killed worker's comes back by itself),
the limit, and the time before which nobody may call. The limit is halved when Exchange asks for a pause and
grows by one a quiet minute.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.errors import StateConflict
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import BudgetUse, Grant, Pause

LOWEST, FIRST, HIGHEST = 1, 8, 20
"""Bounds of the limit: Microsoft advises 10 open requests for one account, and allows 27 a mailbox."""

_SLOT_LIFE = timedelta(minutes=5)
_QUIET = timedelta(minutes=1)
_FULL = timedelta(seconds=2)
_PROBE = "probe-"
_PROBED = timedelta(seconds=10)
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class _State:
    limit: int
    slots: dict[str, datetime]
    not_before: datetime | None
    changed_at: datetime
    etag: str

    def alive(self, now: datetime) -> dict[str, datetime]:
        return {slot: end for slot, end in self.slots.items() if end > now}


class Budget:
    """The budget of one Exchange system, of which the administrator allows ``most``."""

    def __init__(self, storage: Storage, system: str = "exchange", most: int = HIGHEST) -> None:
        self._table = storage.table("budget")
        self._system = system
        self._most = most

    async def acquire(self, wanted: int, now: datetime, *, probe: bool = False) -> Grant | Pause:
        """Up to ``wanted`` slots, at least one, or how long to wait.

        A ``probe`` is one slot, and there is one at a time over all instances.
        """
        wanted = 1 if probe else wanted
        for _ in range(_ATTEMPTS):
            state = await self._read(now)
            if state.not_before is not None and state.not_before > now:
                return Pause(state.not_before - now)
            alive = state.alive(now)
            if probe and any(slot.startswith(_PROBE) for slot in alive):
                return Pause(_PROBED)
            # Work for many leaves room for the one whose calendar has just changed.
            limit = min(state.limit, self._most)
            reserved = limit // 4 if wanted > 1 else 0
            free = min(wanted, limit - len(alive) - reserved)
            if free < 1:
                # The fewer may work, the longer it takes until one is through.
                return Pause(_FULL * max(1.0, FIRST / limit))
            slots = tuple((_PROBE if probe else "") + secrets.token_hex(6) for _ in range(free))
            taken = alive | dict.fromkeys(slots, now + _SLOT_LIFE)
            if await self._write(replace(state, slots=taken)):
                return Grant(slots)
        return Pause(_FULL)

    async def pause(self, now: datetime) -> Pause | None:
        """How long Exchange wants to be left alone, whoever was told so; None where it does not."""
        not_before = (await self._read(now)).not_before
        return Pause(not_before - now) if not_before is not None and not_before > now else None

    async def release(self, grant: Grant, now: datetime, pause: timedelta | None) -> None:
        """Give slots back; ``pause`` is how long Exchange wants to be left alone, None after a success."""
        for _ in range(_ATTEMPTS):
            state = await self._read(now)
            left = {slot: end for slot, end in state.alive(now).items() if slot not in grant.slots}
            state = replace(state, slots=left)
            if pause is not None:
                not_before = max(now + pause, state.not_before or now)
                # Several that were under way together are told the same; that halves the limit once.
                told = state.not_before is not None and state.not_before > now
                limit = state.limit if told else max(LOWEST, state.limit // 2)
                state = replace(state, not_before=not_before, limit=limit, changed_at=now)
            elif state.limit < HIGHEST and now - state.changed_at >= _QUIET:
                state = replace(state, limit=state.limit + 1, changed_at=now)
            if await self._write(state):
                return
        raise StateConflict("Too many workers share the budget.")

    async def use(self, now: datetime) -> BudgetUse:
        """How much of it is used at present."""
        state = await self._read(now)
        pause = state.not_before if state.not_before is not None and state.not_before > now else None
        return BudgetUse(state.limit, len(state.alive(now)), pause)

    async def reset(self) -> None:
        """Forget pauses and slots, as after a change of the configuration."""
        await self._table.delete("budget", self._system)

    async def _read(self, now: datetime) -> _State:
        entity = await self._table.get("budget", self._system)
        if entity is None:
            return _State(FIRST, {}, None, now, "")
        slots = {slot: datetime.fromisoformat(end) for slot, end in json.loads(entity["slots"]).items()}
        changed_at = read_instant(entity["changed_at"]) or now
        not_before = read_instant(entity["not_before"])
        return _State(entity["limit"], slots, not_before, changed_at, entity.metadata["etag"] or "")

    async def _write(self, state: _State) -> bool:
        record: dict[str, Any] = {
            "PartitionKey": "budget",
            "RowKey": self._system,
            "limit": state.limit,
            "slots": json.dumps({slot: write_instant(end) for slot, end in state.slots.items()}),
            "not_before": write_instant(state.not_before),
            "changed_at": write_instant(state.changed_at),
        }
        try:
            if state.etag:
                await self._table.replace(record, state.etag)
            else:
                await self._table.insert(record)
        except StateConflict:
            await asyncio.sleep(random.uniform(0.005, 0.05))  # noqa: S311
            return False
        return True
