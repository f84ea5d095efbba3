"""What each user's calendar calls for, straight from the simulated Exchange, to hold the PBX against."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from dev.run.stack import LANGUAGE, ZONE
from shared.ews.appointments import identify
from shared.model import Appointment, Response, Sensitivity, ShowAs
from shared.presence import PresenceRules, compose

RULES = PresenceRules(
    language=LANGUAGE, timezone=ZONE, tentative_exception_organizers=("personnel@example.com",)
)
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Expectation:
    """A presence as the PBX should have it. A bare *free* is also right where the PBX was told nothing."""

    activity: str
    note: str
    bare: bool

    def fits(self, shown: Mapping[str, Any]) -> bool:
        """Whether the PBX shows it."""
        if self.bare and not shown["note"]:
            return True
        return bool(shown["activity"] == self.activity and shown["note"] == self.note)


class Expectations:
    """Looks into the mailboxes by the simulated Exchange's controls."""

    def __init__(self, control: str, client: httpx.AsyncClient) -> None:
        self._control = control
        self._client = client
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._mailboxes: dict[str, str] = {}

    async def open(self) -> None:
        """Learn which addresses have a mailbox."""
        listed = (await self._client.get(f"{self._control}/mailboxes")).json()
        for mailbox in listed["mailboxes"]:
            for address in (mailbox["address"], *mailbox.get("aliases", ())):
                self._mailboxes[address.lower()] = mailbox["address"]

    def find_mailbox(self, addresses: Sequence[str]) -> str | None:
        """The mailbox that has one of these addresses, or None."""
        return next((self._mailboxes[a.lower()] for a in addresses if a.lower() in self._mailboxes), None)

    async def expect(self, mailbox: str, now: datetime) -> Expectation:
        """The presence that this mailbox's calendar calls for at ``now``."""
        window = {"start": now.isoformat(), "end": (now + timedelta(hours=48)).isoformat()}
        async with self._slots:
            answer = await self._client.get(
                f"{self._control}/mailboxes/{quote(mailbox)}/appointments", params=window
            )
        presence = compose([_appointment(found) for found in answer.json()["appointments"]], now, RULES)
        return Expectation(presence.activity.on_pbx, presence.note, presence.changes_at is None)


def _appointment(found: Mapping[str, Any]) -> Appointment:
    start = datetime.fromisoformat(found["start"])
    return Appointment(
        id=identify(found["uid"], start),
        subject=found["subject"],
        start=start,
        end=datetime.fromisoformat(found["end"]),
        all_day=found["all_day"],
        show_as=ShowAs(found["show_as"]),
        sensitivity=Sensitivity(found["sensitivity"]),
        organizer=found["organizer"],
        cancelled=found["cancelled"],
        response=Response(found["response"]),
    )
