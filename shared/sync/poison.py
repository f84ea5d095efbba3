"""Work that failed again and again: it is shown, and its users are tried later."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.errors import StateConflict
from shared.model import Failure
from shared.sync.interfaces import Clock, Health, Heartbeat, Users

_log = logging.getLogger(__name__)

_LATER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class PoisonRecorder:
    """Takes the messages that the queues have given up."""

    users: Users
    health: Health
    clock: Clock

    async def take(self, guids: Sequence[str], queue: str) -> None:
        """Record that a message was given up, and at each user it named; the upkeep tries them again."""
        _log.error("work given up", extra={"queue": queue, "users": len(guids)})
        now = self.clock()
        await self.health.beat(Heartbeat(f"{queue}-poison", now, 0.0, "A message was given up; see the log."))
        text = "Work on this user failed several times; see the log. It is tried again."
        for guid in guids:
            failed = self.users.set_subscription_failure if queue == "subscribe" else self.users.set_failure
            try:
                await failed(guid, Failure("Poison", text, now, 1, now + _LATER))
            except StateConflict:
                continue
