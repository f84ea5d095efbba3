"""The table ``health``: the timers' heartbeats and what is wrong with the two systems."""

from __future__ import annotations

from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import Heartbeat, Trouble


class Health:
    """What an administrator wants to know at a glance."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("health")

    async def trouble(self, system: str) -> Trouble | None:
        """What is wrong with a system (``pbx``, ``exchange``), or None."""
        entity = await self._table.get("system", system)
        since = read_instant(entity.get("since")) if entity else None
        retry_at = read_instant(entity.get("retry_at")) if entity else None
        if entity is None or since is None or retry_at is None:
            return None
        return Trouble(entity["code"], entity["text"], since, entity["attempts"], retry_at)

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

    async def midnight(self) -> tuple[str, int] | None:
        """The date of the last midnight run and how many partitions it has come through, if any."""
        entity = await self._table.get("progress", "midnight")
        return (entity["date"], entity["done"]) if entity else None

    async def set_midnight(self, date: str, done: int) -> None:
        """Store how far the midnight run of a date has come."""
        await self._table.put({"PartitionKey": "progress", "RowKey": "midnight", "date": date, "done": done})

    async def heartbeat(self, name: str) -> Heartbeat | None:
        """The last run of a task, or None where it never ran."""
        entity = await self._table.get("task", name)
        at = read_instant(entity["at"]) if entity else None
        if entity is None or at is None:
            return None
        return Heartbeat(name, at, entity["seconds"], entity["error"])
