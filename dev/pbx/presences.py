"""The presences of the PBX's users: a list of contacts each, the newest first, and every change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

ACTIVITIES = ("", "busy", "away", "dnd")


@dataclass(frozen=True, slots=True)
class Contact:
    """One source's opinion of a user: ``calendar:``, ``tel:`` (set by hand), ``im:`` (online state)."""

    contact: str
    activity: str = ""
    note: str = ""
    set_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A presence that was set: whose (guid), and what."""

    guid: str
    contact: Contact


class Presences:
    """What every user's displays are told, by guid. ``now`` gives the instant, aware, in UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._contacts: dict[str, list[Contact]] = {}
        self._streams: set[asyncio.Queue[Change]] = set()

    def contacts(self, guid: str) -> list[Contact]:
        """Give a user's contacts, the newest first."""
        return list(self._contacts.get(guid, []))

    def newest(self, guid: str) -> Contact:
        """Give what displays show: the newest contact, or an empty one."""
        return next(iter(self._contacts.get(guid, [])), Contact(""))

    def set(self, guid: str, contact: str, activity: str, note: str) -> bool:
        """Set one contact and move it to the front; empty activity and note remove it.

        Tells whether that contact said something else before.
        """
        entry = Contact(contact, activity, note, self._now())
        contacts = self.contacts(guid)
        before = next((other for other in contacts if other.contact == contact), Contact(contact))
        others = [other for other in contacts if other.contact != contact]
        self._contacts[guid] = [entry, *others] if activity or note else others
        for stream in self._streams:
            stream.put_nowait(Change(guid, entry))
        return (before.activity, before.note) != (activity, note)

    def forget(self, guid: str) -> None:
        """Forget a user who was removed."""
        self._contacts.pop(guid, None)

    @contextmanager
    def watch(self) -> Iterator[AsyncIterator[Change]]:
        """Give every change from here on, as it happens."""
        stream: asyncio.Queue[Change] = asyncio.Queue()

        async def changes() -> AsyncIterator[Change]:
            while True:
                yield await stream.get()

        self._streams.add(stream)
        try:
            yield changes()
        finally:
            self._streams.discard(stream)
