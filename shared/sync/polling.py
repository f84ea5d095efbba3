"""Where Exchange can't reach this service: everybody is read every few minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.sync.backlog import is_behind
from shared.sync.interfaces import PARTITIONS, Clock, Health, Progress, QueueWatch
from shared.sync.rounds import Rounds

_EARLY = timedelta(minutes=1)
"""The timer runs every five minutes, and some seconds sooner or later."""


@dataclass(frozen=True, slots=True)
class Polling:
    """Reads everybody regularly, and has subscriptions end."""

    rounds: Rounds
    health: Health
    waiting: QueueWatch
    clock: Clock

    async def run(self, every: timedelta) -> int:
        """Have everybody read if the last round began so long ago; return for how many users was asked.

        While the former round's readings, or others, still wait, no new round begins. Nor does one while
        Exchange is away.
        """
        now = self.clock()
        idle = await self.health.trouble("exchange") is None
        idle = idle and not await is_behind("sync", self.waiting, self.health)

        def find(last: Progress | None) -> Progress | None:
            if last is not None and last.done < len(PARTITIONS):
                return last
            begins = last is None or last.began is None or now - last.began >= every - _EARLY
            return Progress(now.isoformat(timespec="seconds"), began=now) if begins and idle else None

        return await self.rounds.run("poll", find, every / 2, poll=True)
