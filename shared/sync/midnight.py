"""Once a local day: everybody's next 48 hours are read again.

What was read a day ago still covers 24 hours, so that no presence is wrong while the others wait: the
readings may take their time, but not into the hours in which people look at each other's presence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from shared.sync.interfaces import PARTITIONS, Clock, Health, Progress
from shared.sync.rounds import Rounds

LONGEST = timedelta(hours=2)
"""Everybody is asked for by two o'clock: 100,000 users take 34 minutes, from 360,000 on the rate grows."""


@dataclass(frozen=True, slots=True)
class Midnight:
    """Starts the day: once, however often and late it is asked."""

    rounds: Rounds
    health: Health
    clock: Clock

    async def run(self, zone: ZoneInfo) -> int:
        """Have everybody read if the local date has changed since the last time; return how many.

        On the very first day nothing is read: the directory has just had everybody read.
        """
        now = self.clock()
        today = now.astimezone(zone).date().isoformat()
        if await self.health.progress("midnight") is None:
            begun = Progress(today, len(PARTITIONS), began=now, ended=now)
            await self.health.set_progress("midnight", begun)

        def find(last: Progress | None) -> Progress | None:
            if last is None or last.key < today:
                return Progress(today, began=now)
            # A later date is another zone's, which was configured before.
            return last if last.key == today and last.done < len(PARTITIONS) else None

        return await self.rounds.run("midnight", find, LONGEST)
