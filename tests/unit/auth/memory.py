"""A place for a sign-in that is not a table: the same rules, in this process."""

from __future__ import annotations

from datetime import datetime

from shared.auth.sign_in import Held, SignIn
from shared.errors import StateConflict


class MemoryStore:
    """Holds what `shared.auth.sign_in.SignInStore` says, for as many instances as share it."""

    def __init__(self) -> None:
        self.held: Held | None = None
        self.loads = 0
        self._writes = 0
        self._flows: dict[str, tuple[str, datetime]] = {}

    async def load(self) -> Held | None:
        self.loads += 1
        return self.held

    async def put(self, sign_in: SignIn) -> None:
        self.held = Held(sign_in, self._etag())

    async def replace(self, held: Held, sign_in: SignIn, claimed_until: datetime | None = None) -> Held:
        if self.held is None or self.held.etag != held.etag:
            raise StateConflict("The record was changed meanwhile.")
        self.held = Held(sign_in, self._etag(), claimed_until)
        return self.held

    async def delete(self) -> None:
        self.held = None

    async def keep_flow(self, state: str, flow: str, until: datetime, now: datetime) -> None:
        self._flows = {s: kept for s, kept in self._flows.items() if kept[1] > now}
        self._flows[state] = flow, until

    async def take_flow(self, state: str, now: datetime) -> str | None:
        flow, until = self._flows.pop(state, (None, now))
        return flow if now < until else None

    def _etag(self) -> str:
        self._writes += 1
        return str(self._writes)
