"""The PBX behind the wire: its name, its app object, users, presences, faults and counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from dev.pbx.faults import Faults
from dev.pbx.phone import Viewer
from dev.pbx.presences import Presences
from dev.pbx.statistics import Statistics
from dev.pbx.users import Row, Users

APIS = frozenset({"PbxAdminApi", "PbxApi", "PbxTableUsers"})


def utc_now() -> datetime:
    """Give the instant by the machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Phone:
    """What a user's colleagues see: the newest contact, and ``display`` as the viewer reads it."""

    guid: str
    sip: str
    name: str
    contact: str
    activity: str
    note: str
    display: str
    set_at: datetime | None


@dataclass(slots=True)
class Switchboard:
    """One PBX.

    ``apis`` are those that the app object grants; a request for another is answered with an error, or
    not at all, as ``ungranted`` says. ``numbered`` is a PBX of 13r3 or later, which numbers its changes
    (guid and usn). ``viewer`` None shows notes raw.
    """

    name: str = "master"
    domain: str = "example.com"
    app: str = "calendarsync"
    password: str = "secret"
    apis: frozenset[str] = APIS
    ungranted: Literal["error", "silence"] = "error"
    numbered: bool = True
    viewer: Viewer | None = None
    now: Callable[[], datetime] = utc_now
    users: Users = field(default_factory=Users)
    faults: Faults = field(default_factory=Faults)
    statistics: Statistics = field(default_factory=Statistics)
    presences: Presences = field(init=False)

    def __post_init__(self) -> None:
        self.presences = Presences(self.now)
        self.users.listeners.append(self._forget_removed)

    def phone(self, guid: str) -> Phone:
        """Give what displays show of the user. Raises KeyError if unknown."""
        row = self.users.find(guid)
        if row is None:
            raise KeyError(guid)
        newest = self.presences.newest(guid)
        return Phone(
            row.guid,
            row.sip,
            row.name,
            newest.contact,
            newest.activity,
            newest.note,
            self.display(newest.note),
            newest.set_at,
        )

    def display(self, note: str) -> str:
        """Give the note as displays show it now."""
        return self.viewer.read(note, self.now()) if self.viewer else note

    def _forget_removed(self, before: Row | None, after: Row | None) -> None:
        if before is not None and after is None:
            self.presences.forget(before.guid)
