"""A model of the PBX: its users, the presences it took, and sessions that break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from shared.errors import PbxError, PbxUnavailable, PresenceRefused
from shared.model import User
from shared.pbx.protocol import Identity, TableRow
from shared.pbx.session import Assignment, Outcome
from tests.faults.chaos import Chaos, Fault
from tests.faults.process import Process

DOMAIN = "pbx.example.com"
WINDOW = 3
"""Requests under way at a time: few, so that a session breaks in the middle."""


STAFF = "staff"
"""The group whose members are in scope."""


def member(guid: str, name: str, *emails: str) -> User:
    """A user in scope."""
    return User(guid, name, name, name, emails, groups=(STAFF,))


@dataclass(frozen=True, slots=True)
class Row:
    """What the PBX knew of a user from an instant on; None where there was none."""

    since: datetime
    user: User | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A presence that the PBX took."""

    at: datetime
    guid: str
    activity: str
    note: str


class Pbx:
    """All users. ``down`` refuses connections and breaks those there are."""

    def __init__(self, chaos: Chaos, clock: Callable[[], datetime]) -> None:
        self.chaos = chaos
        self.clock = clock
        self.rows: dict[str, list[Row]] = {}
        self.shown: dict[str, tuple[str, str]] = {}
        self.taken: list[Taken] = []
        self.down = False

    def user(self, guid: str) -> User | None:
        """A user as the PBX has them."""
        history = self.rows.get(guid)
        return history[-1].user if history else None

    def put(self, user: User) -> None:
        """Add or change a user."""
        self.rows.setdefault(user.guid, []).append(Row(self.clock(), user))

    def remove(self, guid: str) -> None:
        """Remove a user. Who comes back under the same guid shows what they showed."""
        self.rows[guid].append(Row(self.clock(), None))

    def take(self, assignment: Assignment) -> PbxError | None:
        """SetPresence."""
        user = self.user(assignment.guid)
        if user is None:
            return PresenceRefused(5, "The PBX answered no such user.")
        presence = (assignment.activity, assignment.note)
        self.taken.append(Taken(self.clock(), assignment.guid, *presence))
        self.shown[assignment.guid] = presence
        self.chaos.say(f"PBX {assignment.guid[:4]} shows {presence}")
        return None

    @asynccontextmanager
    async def connect(self, process: Process) -> AsyncIterator[SessionPort]:
        """A session of one worker process."""

        async def sign_in() -> None:
            if self.down:
                raise PbxUnavailable("No connection to the PBX.")

        await process.call("pbx.connect", sign_in, fastest=0.02, slowest=0.2)
        yield SessionPort(self, process)


class SessionPort:
    """A signed-in session."""

    def __init__(self, pbx: Pbx, process: Process) -> None:
        self.identity: Identity | None = Identity("pbx", DOMAIN)
        self._pbx = pbx
        self._process = process
        self._broken = False

    async def users(self) -> AsyncIterator[TableRow]:
        """The users as they are while they are listed."""
        for guid in sorted(self._pbx.rows):

            async def read(guid: str = guid) -> User | None:
                self._check()
                return self._pbx.user(guid)

            user = await self._process.call("pbx.replicate_next", read, fastest=0.005, slowest=0.05)
            if user is not None:
                yield TableRow(guid, user)

    async def set_presences(self, assignments: Iterable[Assignment]) -> list[Outcome]:
        """Set presences, some side by side; what became of each."""
        window = asyncio.Semaphore(WINDOW)
        chaos = self._process.chaos

        async def set_one(assignment: Assignment) -> Outcome:
            async def effect() -> PbxError | None:
                self._check()
                if chaos.strikes(Fault.PBX_SLOW, assignment.guid[:4]):
                    await asyncio.sleep(chaos.pick(1, 9))
                    self._check()
                if chaos.strikes(Fault.PBX_REFUSED, assignment.guid[:4]):
                    return PresenceRefused(1, "The PBX answered an error.")
                if chaos.strikes(Fault.PBX_DROPPED, assignment.guid[:4]):
                    if chaos.chance(0.5):
                        self._pbx.take(assignment)
                    self._broken = True
                    self._check()
                return self._pbx.take(assignment)

            async with window:
                try:
                    error = await self._process.call("pbx.set_presence", effect, fastest=0.005, slowest=0.1)
                    self._check()
                except PbxUnavailable as lost:
                    error = lost
            return Outcome(assignment, error)

        return await asyncio.gather(*(set_one(assignment) for assignment in assignments))

    def _check(self) -> None:
        if self._broken or self._pbx.down:
            self._broken = True
            raise PbxUnavailable("The PBX closed the connection.")
