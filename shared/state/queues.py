"""The queues between the functions. A message holds users' guids and a reason, never data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from shared.state.storage import QUEUES, Storage
from shared.sync.interfaces import GROUP, QueueLength


@dataclass(frozen=True, slots=True)
class Work:
    """What a message asks for: these users, and why. ``traceparent`` is its place in a trace, or empty.

    ``delay`` is how many seconds after it was sent it could be worked on first.
    """

    users: tuple[str, ...]
    reason: str
    traceparent: str = ""
    delay: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Work:
        """Read a message.

        Raises:
            ValueError: it is not one of ours.
        """
        body = json.loads(text)
        users = body.get("users") if isinstance(body, dict) else None
        if not isinstance(users, list) or not all(isinstance(guid, str) and guid for guid in users):
            raise ValueError("users: is no list of guids")
        delay = body.get("delay", 0.0)
        if not isinstance(delay, int | float) or not 0 <= delay < 1e10:
            raise ValueError("delay: is no number of seconds")
        return cls(tuple(users), str(body.get("reason", "")), str(body.get("traceparent", "")), delay)

    def text(self) -> str:
        """The message as it is sent."""
        body: dict[str, object] = {"users": self.users, "reason": self.reason}
        if self.traceparent:
            body["traceparent"] = self.traceparent
        if self.delay:
            body["delay"] = self.delay
        return json.dumps(body)


class WorkQueues:
    """Asks for work to be done soon, or after a while. ``trace`` tells the present place in a trace."""

    def __init__(self, storage: Storage, trace: Callable[[], str] = str) -> None:
        self._storage = storage
        self._trace = trace

    async def read(self, users: Iterable[str], reason: str, delay: timedelta = timedelta()) -> None:
        """Have these users' calendars read."""
        await self._send_groups("sync", users, reason, delay)

    async def subscribe(self, users: Iterable[str], reason: str, delay: timedelta = timedelta()) -> None:
        """Have these users' mailboxes found and subscribed to, and then read."""
        await self._send_groups("subscribe", users, reason, delay)

    async def publish(self, reason: str, users: Sequence[str] = (), delay: timedelta = timedelta()) -> None:
        """Have the PBX told what waits in the outbox for these users, or for everybody."""
        await self._send("publish", users, reason, delay)

    async def replicate(self, reason: str, delay: timedelta = timedelta()) -> None:
        """Have the PBX's users replicated."""
        await self._send("directory", (), reason, delay)

    async def configure(self, reason: str, delay: timedelta = timedelta()) -> None:
        """Have the configuration applied."""
        await self._send("configure", (), reason, delay)

    async def check(self, identity: str) -> None:
        """Have a test of the connection carried out."""
        await self._storage.send("checks", identity)

    async def catch_up(self, task: str) -> None:
        """Have a timer's work done that is overdue."""
        await self._send("overdue", (), task, timedelta())

    async def _send_groups(self, queue: str, users: Iterable[str], reason: str, delay: timedelta) -> None:
        for group in batched(users, GROUP, strict=False):
            await self._send(queue, group, reason, delay)

    async def _send(self, queue: str, users: Sequence[str], reason: str, delay: timedelta) -> None:
        work = Work(tuple(users), reason, self._trace(), delay.total_seconds())
        await self._storage.send(queue, work.text(), delay=delay)


class QueueWatch:
    """How much work waits."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def waiting(self, queue: str) -> int:
        """About how many messages a queue holds, those for later included."""
        return await self._storage.waiting(queue)

    async def lengths(self) -> list[QueueLength]:
        """All queues, looked at side by side."""
        return await asyncio.gather(*map(self._length, QUEUES))

    async def _length(self, name: str) -> QueueLength:
        waiting, given_up = await asyncio.gather(
            self._storage.waiting(name), self._storage.waiting(f"{name}-poison")
        )
        oldest = await self._storage.oldest(name) if waiting else None
        return QueueLength(name, waiting, given_up, oldest and _find_beginning(*oldest))


def _find_beginning(sent: datetime, text: str) -> datetime:
    """From when on a message could be worked on."""
    try:
        return sent + timedelta(seconds=Work.parse(text).delay)
    except ValueError:
        # Not one of these: it was seen at once.
        return sent
