"""A user leaves: the presence is cleared, what was stored is deleted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import StateConflict
from shared.model import MailboxState
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

    async def keep_out(self, guid: str) -> bool:
        """Clear a user who was excluded, to the end; tell whether something waits for the PBX."""
        waits = await self.clear(guid)
        await self.users.set_cleared(guid)
        return waits

    async def find_left(self, guids: Collection[str]) -> set[str]:
        """Which of these users are no longer to be synchronised, or have no mailbox any more."""
        known = await self.users.get_many(guids)
        shown = {
            guid
            for guid, user in known.items()
            if user.is_active and user.mailbox_state is not MailboxState.NONE
        }
        return set(guids) - shown

    async def clear(self, guid: str) -> bool:
        """Clear a user's presence and delete the agenda; tell whether something waits for the PBX."""
        await self.agendas.remove(guid)
        return await self.presences.withdraw(guid)
