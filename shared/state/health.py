"""The table ``health``: the timers' heartbeats, what is wrong with either system, how far rounds came."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import Any

from azure.data.tables import TableEntity

from shared.errors import StateConflict
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import Census, Heartbeat, Overview, Progress, Trouble

_OVERVIEW = " or ".join(f"PartitionKey eq '{name}'" for name in ("system", "task", "progress", "census"))


class Health:
    """What an administrator wants to know at a glance."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("health")

    async def overview(self) -> Overview:
        """All of it, in one request."""
        troubles: dict[str, Trouble] = {}
        heartbeats: dict[str, Heartbeat] = {}
        rounds: dict[str, Progress] = {}
        census = None
        async for entity in self._table.query(_OVERVIEW):
            name = entity["RowKey"]
            if entity["PartitionKey"] == "system":
                if trouble := _read_trouble(entity):
                    troubles[name] = trouble
            elif entity["PartitionKey"] == "task":
                if heartbeat := _read_heartbeat(entity):
                    heartbeats[name] = heartbeat
            elif entity["PartitionKey"] == "progress":
                rounds[name] = _read_progress(entity)
            else:
                census = _read_census(entity)
        return Overview(troubles, heartbeats, rounds, census)

    async def trouble(self, system: str) -> Trouble | None:
        """What is wrong with a system (``pbx``, ``exchange``), or None."""
        return _read_trouble(await self._table.get("system", system))

    async def set_trouble(self, system: str, trouble: Trouble | None) -> None:
        """Store what is wrong with a system, or that nothing is."""
        await self._table.put(
            {
                "PartitionKey": "system",
                "RowKey": system,
                "code": trouble.code if trouble else "",
                "text": trouble.text if trouble else "",
                "since": write_instant(trouble.since if trouble else None),
                "attempts": trouble.attempts if trouble else 0,
                "retry_at": write_instant(trouble.retry_at if trouble else None),
            }
        )

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Store that a task has run."""
        await self._table.put(
            {
                "PartitionKey": "task",
                "RowKey": heartbeat.name,
                "at": write_instant(heartbeat.at),
                "seconds": heartbeat.seconds,
                "error": heartbeat.error,
            }
        )

    async def heartbeat(self, name: str) -> Heartbeat | None:
        """The last run of a task, or None where it never ran."""
        return _read_heartbeat(await self._table.get("task", name))

    async def progress(self, name: str) -> Progress | None:
        """How far a round over all users has come, or None where there never was one."""
        entity = await self._table.get("progress", name)
        return _read_progress(entity) if entity else None

    async def set_progress(self, name: str, progress: Progress) -> None:
        """Store how far a round has come with asking; ``last_read`` is left as it is."""
        written = _written(progress)
        del written["last_read"]
        await self._table.put({"PartitionKey": "progress", "RowKey": name} | written)

    async def set_last_read(self, name: str, at: datetime) -> None:
        """Store when a calendar was read for a round, if there is such a round."""
        with suppress(StateConflict):
            await self._table.merge(
                {"PartitionKey": "progress", "RowKey": name, "last_read": write_instant(at)}
            )

    async def census(self) -> Census | None:
        """The users by their state as they were counted last, or None where they never were."""
        entity = await self._table.get("census", "users")
        return _read_census(entity) if entity else None

    async def set_census(self, census: Census) -> None:
        """Store a count of the users."""
        await self._table.put({"PartitionKey": "census", "RowKey": "users"} | _written(census))


def _written(record: Progress | Census) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {
        name: write_instant(value) if value is None or isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _read_trouble(entity: TableEntity | None) -> Trouble | None:
    since = read_instant(entity.get("since")) if entity else None
    retry_at = read_instant(entity.get("retry_at")) if entity else None
    if entity is None or since is None or retry_at is None:
        return None
    return Trouble(entity["code"], entity["text"], since, entity["attempts"], retry_at)


def _read_heartbeat(entity: TableEntity | None) -> Heartbeat | None:
    at = read_instant(entity["at"]) if entity else None
    if entity is None or at is None:
        return None
    return Heartbeat(entity["RowKey"], at, entity["seconds"], entity["error"])


def _read_progress(entity: TableEntity) -> Progress:
    began, last_read = read_instant(entity["began"]), read_instant(entity.get("last_read"))
    if began and last_read and last_read < began:
        # Of the round before.
        last_read = None
    return Progress(
        entity["key"], entity["done"], entity["users"], began, read_instant(entity["ended"]), last_read
    )


def _read_census(entity: TableEntity) -> Census | None:
    at = read_instant(entity["at"])
    if at is None:
        return None
    values: dict[str, Any] = {
        field.name: entity[field.name] for field in fields(Census) if field.name in entity
    }
    instants = {name: read_instant(entity[name]) for name in ("oldest_sign", "newest_sign", "reading_since")}
    return Census(**(values | instants | {"at": at}))
