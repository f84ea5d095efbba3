"""A user leaves: the presence is cleared, what was stored is deleted."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import StateConflict
from shared.sync.interfaces import Agendas, Presences, Users


@dataclass(frozen=True, slots=True)
class Farewell:
    """Forgets users. The user's own record goes last, so that a killed run is repeated."""

    users: Users
    agendas: Agendas
    presences: Presences

    async def leave(self, guid: str) -> bool:
        """Forget a user; tell whether something waits for the PBX."""
        try:
            await self.users.set_leaving(guid)
        except StateConflict:
            return False
        waits = await self.clear(guid)
        await self.users.remove(guid)
        return waits

    async def has_left(self, guid: str) -> bool:
        """Whether the user is no longer to be synchronised."""
        user = await self.users.get(guid)
        return user is None or not user.is_active

    async def clear(self, guid: str) -> bool:
        """Clear a user's presence and delete the agenda; tell whether something waits for the PBX."""
        await self.agendas.remove(guid)
        return await self.presences.withdraw(guid)
