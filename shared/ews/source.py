"""Exchange Web Services as the calendar source of the use cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import MailboxError
from shared.ews.client import ExchangeClient, Reading
from shared.ews.names import choose

_NOBODY = ("ErrorNonExistentMailbox", "ErrorInvalidSmtpAddress")
"""What a candidate that is no mailbox's primary address gets for resolving itself."""


@dataclass(frozen=True, slots=True)
class ExchangeSource:
    """One Exchange system.

    ``candidates_resolve`` has every candidate address resolve itself, in place of the account; an alias then
    finds no mailbox. ``status_frequency`` is how many quiet minutes pass between signs of life.
    ``resolver`` is the mailbox that resolves names for an account without one, None where there is one.
    """

    client: ExchangeClient
    candidates_resolve: bool
    status_frequency: int
    resolver: str | None = None

    async def find_mailbox(self, address: str) -> str | None:
        """The primary address of the mailbox that has this address, or None where there is none."""
        try:
            matches = await self.client.resolve(
                address, address if self.candidates_resolve else self.resolver
            )
        except MailboxError as error:
            if self.candidates_resolve and error.code in _NOBODY:
                return None
            raise
        match = choose(matches, address)
        return match.primary if match else None

    async def read(self, mailbox: str, start: datetime, end: datetime) -> Reading:
        """The appointments that overlap the window."""
        return await self.client.read(mailbox, start, end)

    async def add_organizers(self, mailbox: str, reading: Reading, wanted: Sequence[str]) -> Reading:
        """The same reading, with the organizers' addresses of the appointments with these ids."""
        items = {key: reading.sources[key].item_id for key in wanted if key in reading.sources}
        found = await self.client.organizers(mailbox, list(items.values()))
        organizers = {key: found[item] for key, item in items.items() if item in found}
        return replace(
            reading,
            appointments=tuple(
                replace(appointment, organizer=organizers.get(appointment.id, appointment.organizer))
                for appointment in reading.appointments
            ),
        )

    async def subscribe(self, mailbox: str, callback_url: str) -> str:
        """Have changes of this mailbox told to a callback; return the subscription's id."""
        subscription = await self.client.subscribe(mailbox, callback_url, self.status_frequency)
        return subscription.id
