"""``python -m tests.integration.budget_worker``: reads mailboxes as a worker of the function app does.

A line of JSON on standard input is one piece of work (`Work`); a line on standard output tells when each
mailbox was read, in seconds of `time.monotonic`, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from shared.auth.ntlm import NtlmLanes
from shared.ews.client import ExchangeClient
from shared.ews.transport import tls_context
from shared.model import CalendarUser
from shared.state.budget import Budget
from shared.state.health import Health
from shared.state.storage import Storage
from shared.state.users import UserStore
from shared.sync.interfaces import GROUP
from shared.sync.throttling import Throttle
from tests.storage import environment_of


@dataclass(frozen=True, slots=True)
class Work:
    """The users to read, and where. ``ahead`` is how many seconds this worker's clock goes ahead."""

    storage: str
    url: str
    authority: str
    user: str
    password: str
    guids: list[str]
    ahead: float = 0.0


async def carry_out(work: Work) -> dict[str, float]:
    """Read all, group by group, those who could not be read when their time has come again."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=work.ahead)

    done: dict[str, float] = {}
    lanes = NtlmLanes(work.user, work.password, tls_context(work.authority))
    client = ExchangeClient(work.url, lanes)

    async def read(user: CalendarUser) -> None:
        start = clock()
        await client.read(user.mailbox, start, start + timedelta(hours=48))
        done[user.user.guid] = monotonic()

    async with Storage.open(environment_of(work.storage)) as storage:
        throttle = Throttle(Budget(storage), UserStore(storage), Health(storage), clock)
        groups = [work.guids[first : first + GROUP] for first in range(0, len(work.guids), GROUP)]
        await asyncio.gather(*(_read_group(throttle, group, read) for group in groups))
    await lanes.aclose()
    return done


async def _read_group(
    throttle: Throttle, guids: list[str], read: Callable[[CalendarUser], Awaitable[None]]
) -> None:
    """As the queue does: what is left comes back as messages of their own, each after its delay."""
    rest = await throttle.each(guids, read)

    async def again(delay: timedelta, left: list[str]) -> None:
        await asyncio.sleep(delay.total_seconds())
        await _read_group(throttle, left, read)

    await asyncio.gather(*(again(delay, left) for delay, left in rest.users.items()))


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(carry_out(Work(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
