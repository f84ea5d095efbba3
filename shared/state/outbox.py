"""The table ``outbox``: what the PBX was told about each user, and what it has still to be told.

A user has a record of what is *published* under the guid, and while something waits a second one, the
*pending* presence, under ``!`` and the guid: both in one partition, so that they change together, and all
that waits is one short range.

Whoever tells the PBX takes a pending presence first, which marks it as *sending* until it is acknowledged.
From then on nobody knows what the PBX has, and a wish for the presence published before is sent as well
instead of being dropped: a publisher killed between the two leaves nothing wrong behind.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableEntity, UpdateMode

from shared.errors import StateConflict
from shared.model import Presence
from shared.state.storage import (
    TRANSACTION_LIMIT,
    Operation,
    Storage,
    partition_of,
    read_instant,
    write_instant,
)
from shared.sync.interfaces import PARTITIONS, Pending, Wish

_PAIRS = TRANSACTION_LIMIT // 2
"""Users in one transaction, with two records each."""

_ATTEMPTS = 20
"""Tries against other writers of one user's record; they are two or three at most."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the PBX has acknowledged last, and why the next was refused, if it was."""

    guid: str
    activity: str
    note: str
    at: datetime | None
    error: str


class Outbox:
    """The presences on their way to the PBX: the latest wins, and nothing is told twice."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("outbox")

    async def put(self, guid: str, sip: str, order: str, presence: Presence) -> bool:
        """Want this presence for a user; tell whether something waits for the PBX now.

        ``order`` is a text that sorts presences: one before the last is dropped. A bare *free* is not told of
        a user who never had a presence.
        """
        return bool(await self.put_all([Wish(guid, sip, order, presence)]))

    async def put_all(self, wishes: Iterable[Wish]) -> set[str]:
        """The same for many, each user once: reads and writes neighbours together; the guids that wait."""
        by_partition: dict[str, list[Wish]] = defaultdict(list)
        for wish in wishes:
            by_partition[partition_of(wish.guid)].append(wish)
        waiting = await asyncio.gather(*map(self._put_neighbours, by_partition.values()))
        return set().union(*waiting)

    async def _put_neighbours(self, wishes: Sequence[Wish]) -> set[str]:
        entities = await self._read(wishes)
        waiting = await asyncio.gather(
            *(self._put(chunk, entities) for chunk in batched(wishes, _PAIRS, strict=False))
        )
        return set().union(*waiting)

    async def _put(self, wishes: Sequence[Wish], entities: Mapping[str, TableEntity]) -> set[str]:
        for _ in range(_ATTEMPTS):
            steps: list[Operation] = []
            waiting: set[str] = set()
            for wish in wishes:
                wanted, waits = _settle(wish, entities.get(wish.guid))
                steps += wanted
                if waits:
                    waiting.add(wish.guid)
            try:
                if steps:
                    await self._table.transact(steps)
            except StateConflict:
                entities = await self._read(wishes)
                if len(wishes) == 1:
                    continue
                apart = await asyncio.gather(*(self._put([wish], entities) for wish in wishes))
                return set().union(*apart)
            return waiting
        raise StateConflict("Too many writers of one user's presence.")

    async def _read(self, wishes: Sequence[Wish]) -> dict[str, TableEntity]:
        """The records of these users, who are of one partition."""
        return await self._table.get_many(partition_of(wishes[0].guid), [wish.guid for wish in wishes])

    async def withdraw(self, guid: str) -> bool:
        """Clear the presence of a user who leaves, and forget the user once the PBX has acknowledged.

        Tells whether something waits for the PBX now.
        """
        for _ in range(_ATTEMPTS):
            entity = await self._table.get(partition_of(guid), guid)
            if entity is None:
                return False
            if entity["leaving"]:
                # It waits until the PBX has acknowledged. Wanted again it might be told twice.
                return True
            cleared = {"sip": entity["sip"], "activity": "", "note": ""}
            record = _keys(guid) | cleared | {"order": "", "waiting": True, "leaving": True}
            try:
                if _is_known(entity):
                    await self._write(record, entity, waits=True)
                    return True
                steps: list[Operation] = [("delete", _keys(guid), _unchanged(entity.metadata["etag"]))]
                if entity["waiting"]:
                    steps.append(("delete", _marker(guid)))
                await self._table.transact(steps)
            except StateConflict:
                continue
            return False
        raise StateConflict("Too many writers of one user's presence.")

    async def take(
        self, now: datetime, limit: int, partitions: Collection[str] = PARTITIONS
    ) -> list[Pending]:
        """Up to about ``limit`` presences that wait and whose time has come, marked as being sent.

        What is changed while it is taken is left for the next time.
        """
        share = max(1, limit // len(partitions))

        async def take_from(partition: str) -> list[Pending]:
            found = []
            async for entity in self._table.query(_pending_in(partition), page=share):
                pending = _read_pending(entity)
                if pending.not_before is None or pending.not_before <= now:
                    found.append(pending)
                if len(found) == share:
                    break
            return [
                p for chunk in batched(found, _PAIRS, strict=False) for p in await self._mark_sending(chunk)
            ]

        return [p for part in await asyncio.gather(*map(take_from, partitions)) for p in part]

    async def _mark_sending(self, found: Sequence[Pending]) -> list[Pending]:
        steps: list[Operation] = []
        for pending in found:
            steps.append(("update", _keys(pending.guid) | {"sending": True}))
            steps.append(
                ("update", _marker(pending.guid) | {"attempts": pending.attempts}, _unchanged(pending.etag))
            )
        try:
            answers = await self._table.transact(steps)
        except StateConflict:
            if len(found) == 1:
                return []
            return [p for pending in found for p in await self._mark_sending([pending])]
        return [
            replace(pending, etag=str(answer["etag"]))
            for pending, answer in zip(found, answers[1::2], strict=True)
        ]

    async def waits(self) -> bool:
        """Whether anything waits for the PBX, refused presences included."""

        async def read(partition: str) -> bool:
            async for _ in self._table.query(_pending_in(partition), select=["RowKey"], limit=1):
                return True
            return False

        return any(await asyncio.gather(*map(read, PARTITIONS)))

    async def acknowledge(self, told: Iterable[Pending], now: datetime) -> None:
        """The PBX has taken these. Where something newer came meanwhile, that goes on waiting."""
        by_partition: dict[str, list[Pending]] = defaultdict(list)
        for pending in told:
            by_partition[partition_of(pending.guid)].append(pending)
        await asyncio.gather(
            *(
                self._acknowledge(chunk, now)
                for part in by_partition.values()
                for chunk in batched(part, _PAIRS, strict=False)
            )
        )

    async def _acknowledge(self, told: Sequence[Pending], now: datetime) -> None:
        steps: list[Operation] = []
        for pending in told:
            if pending.leaving:
                steps.append(("delete", _keys(pending.guid)))
            else:
                settled = _keys(pending.guid) | _published(pending, now) | {"waiting": False}
                steps.append(("update", settled))
            steps.append(("delete", _marker(pending.guid), _unchanged(pending.etag)))
        try:
            await self._table.transact(steps)
        except StateConflict:
            if len(told) == 1:
                await self._acknowledge_superseded(told[0], now)
            else:
                for pending in told:
                    await self._acknowledge([pending], now)

    async def _acknowledge_superseded(self, told: Pending, now: datetime) -> None:
        """The PBX has taken one that was no longer wanted: note it, and let the wanted one wait."""
        for _ in range(_ATTEMPTS):
            entity = await self._table.get(partition_of(told.guid), told.guid)
            if entity is None:
                return
            wanted = {name: entity[name] for name in ("sip", "activity", "note", "leaving")}
            waits = entity["leaving"] or entity["activity"] != told.activity or entity["note"] != told.note
            # The newer one may have been taken already, by a second publisher.
            state = _published(told, now) | {"waiting": waits, "sending": waits}
            record = _keys(told.guid) | wanted | state
            try:
                await self._write(record, entity, waits)
            except StateConflict:
                continue
            return
        raise StateConflict("Too many writers of one user's presence.")

    async def refuse(self, pending: Pending, error: str, not_before: datetime) -> None:
        """The PBX refused this one: it is tried again alone, and the reason is shown."""
        postponed = {"attempts": pending.attempts + 1, "not_before": write_instant(not_before)}
        try:
            await self._table.merge(_marker(pending.guid) | postponed, pending.etag)
            await self._table.merge(_keys(pending.guid) | {"error": error})
        except StateConflict:
            return

    async def refused(self) -> list[str]:
        """The guids of those whose presence the PBX has refused and who wait for a repeat."""
        parts = await asyncio.gather(*map(self._refused_in, PARTITIONS))
        return [guid for part in parts for guid in part]

    async def _refused_in(self, partition: str) -> list[str]:
        markers = f"PartitionKey eq '{partition}' and RowKey lt '0' and attempts gt 0 and leaving eq false"
        return [
            entity["RowKey"].removeprefix("!")
            async for entity in self._table.query(markers, select=["RowKey"])
        ]

    async def doubt(self, partition: str) -> str:
        """Have the PBX told anew, as it is another one: nobody knows what it shows.

        Presences go on waiting or wait again; who was never told anything, or left the former PBX, has
        nothing to be told. Returns a guid of the partition for whom something waits, or an empty text.
        """
        waiting = ""
        async for entity in self._table.query(f"PartitionKey eq '{partition}' and RowKey ge '0'"):
            guid = entity["RowKey"]
            if entity["leaving"]:
                await self._forget(guid)
            elif (_is_known(entity) and await self._tell_again(guid, entity)) or entity["waiting"]:
                waiting = guid
        return waiting

    async def _forget(self, guid: str) -> None:
        await self._table.delete(partition_of(guid), f"!{guid}")
        await self._table.delete(partition_of(guid), guid)

    async def _tell_again(self, guid: str, entity: TableEntity) -> bool:
        try:
            wanted = {name: entity[name] for name in ("sip", "activity", "note", "leaving")}
            await self._write(_keys(guid) | wanted | {"sending": True, "waiting": True}, entity, waits=True)
        except StateConflict:
            # A newer presence, or what the PBX acknowledged: the one that waits is told anyway.
            current = await self._table.get(partition_of(guid), guid)
            return current is not None and await self._tell_again(guid, current)
        return True

    async def published(self, guid: str) -> Published | None:
        """What the PBX has acknowledged for a user, or None where it was never told anything."""
        entity = await self._table.get(partition_of(guid), guid)
        return _read_published(entity) if entity else None

    async def published_to(self, guids: Collection[str]) -> dict[str, Published]:
        """The same for those of these users of whom it was told anything; they are no neighbours."""
        found = await asyncio.gather(*map(self.published, guids))
        return {guid: published for guid, published in zip(guids, found, strict=True) if published}

    async def _write(self, record: dict[str, Any], entity: TableEntity | None, waits: bool) -> None:
        await self._table.transact(_replacing(record, entity, waits))


def _read_published(entity: TableEntity) -> Published | None:
    if not (entity["published"] or entity.get("error")):
        return None
    return Published(
        entity["RowKey"],
        entity.get("published_activity", ""),
        entity.get("published_note", ""),
        read_instant(entity.get("published_at")),
        entity.get("error", ""),
    )


def _settle(wish: Wish, entity: TableEntity | None) -> tuple[list[Operation], bool]:
    """What has to be written for a wish where the record is this one, and whether something waits then."""
    if entity is not None and entity["order"] > wish.order:
        return [], bool(entity["waiting"])
    presence = wish.presence
    wanted = {"sip": wish.sip, "activity": presence.activity.on_pbx, "note": presence.note}
    keys = _keys(wish.guid)
    if entity is not None and _is_wanted(wanted, entity):
        # Also what changes nothing must not be followed by an earlier one.
        reordered = ("update", keys | {"order": wish.order}, _unchanged(entity.metadata["etag"]))
        return [reordered], bool(entity["waiting"])
    waits = _differs(wanted, entity) if _is_known(entity) else presence.changes_at is not None
    record = keys | wanted | {"order": wish.order, "waiting": waits, "leaving": False}
    # In place of a withdrawal something is said to wait: who stores a presence then looks who has left.
    return _replacing(record, entity, waits), waits or (entity is not None and bool(entity["leaving"]))


def _replacing(record: dict[str, Any], entity: TableEntity | None, waits: bool) -> list[Operation]:
    """The steps that write a record over the one that was read, and its marker with it."""
    guid = record["RowKey"]
    steps: list[Operation] = []
    if entity is None:
        steps.append(("create", record | {"published": False, "sending": False}))
    else:
        steps.append(("update", record, _unchanged(entity.metadata["etag"])))
    if waits:
        wanted = {name: record[name] for name in ("sip", "activity", "note", "leaving")}
        fresh = {"attempts": 0, "not_before": ""}
        steps.append(("upsert", _marker(guid) | wanted | fresh, {"mode": UpdateMode.REPLACE}))
    elif entity is not None and entity["waiting"]:
        steps.append(("delete", _marker(guid)))
    return steps


def _keys(guid: str) -> dict[str, Any]:
    return {"PartitionKey": partition_of(guid), "RowKey": guid}


def _marker(guid: str) -> dict[str, Any]:
    return {"PartitionKey": partition_of(guid), "RowKey": f"!{guid}"}


def _is_known(entity: TableEntity | None) -> bool:
    """Whether the PBX has, or may have, been told anything about the user."""
    return entity is not None and bool(entity["published"] or entity["sending"])


def _is_wanted(wanted: Mapping[str, str], entity: TableEntity) -> bool:
    return not entity["leaving"] and all(entity[name] == value for name, value in wanted.items())


def _differs(wanted: Mapping[str, str], entity: TableEntity | None) -> bool:
    """Whether the PBX has, or may have, another presence than the wanted one."""
    return (
        entity is None
        or bool(entity["sending"])
        or entity["published_activity"] != wanted["activity"]
        or entity["published_note"] != wanted["note"]
    )


def _pending_in(partition: str) -> str:
    return f"PartitionKey eq '{partition}' and RowKey ge '!' and RowKey lt '\"'"


def _unchanged(etag: str | None) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _published(pending: Pending, now: datetime) -> dict[str, Any]:
    return {
        "published": True,
        "published_activity": pending.activity,
        "published_note": pending.note,
        "published_at": write_instant(now),
        "sending": False,
        "error": "",
    }


def _read_pending(entity: TableEntity) -> Pending:
    return Pending(
        guid=entity["RowKey"].removeprefix("!"),
        sip=entity["sip"],
        activity=entity["activity"],
        note=entity["note"],
        leaving=entity["leaving"],
        attempts=entity["attempts"],
        not_before=read_instant(entity["not_before"]),
        etag=entity.metadata["etag"] or "",
    )
