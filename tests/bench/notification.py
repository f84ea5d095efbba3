"""What the function ``notification`` adds to the storage calls it makes, and how many these are.

A bare function makes the same calls to the same storage: read the user's record, send a message, note that it
was sent; where a reading waits already, it only reads. Both are called directly, in turns. The whole way to
the phone is measured by ``tests.bench.latency``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

import azure.functions as func

from dev.azurite import Azurite
from dev.exchange.notifications import Event, write_notification
from function_app import app
from functions.services import now, services
from shared.environment import Environment
from shared.model import MailboxState, Subscription
from shared.state.queues import Work
from shared.state.storage import Storage, partition_of, write_instant
from tests.bench.parts.company import Employee
from tests.bench.parts.installation import app_settings
from tests.bench.parts.requests import Requests

USERS = 400
RATIO = 3


class Bare:
    """A function that makes the same calls and nothing else."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._users = storage.table("users")

    async def ask(self, guid: str) -> None:
        """A notification that has a reading asked for."""
        await self._users.get(partition_of(guid), guid)
        await self._storage.send("sync", Work((guid,), "changed").text(), delay=timedelta(seconds=1))
        keys = {"PartitionKey": partition_of(guid), "RowKey": guid}
        await self._users.merge(keys | {"read_requested_at": write_instant(now())})

    async def ignore(self, guid: str) -> None:
        """One for whose user a reading waits already."""
        await self._users.get(partition_of(guid), guid)


async def timed(call: Awaitable[object]) -> float:
    """Seconds."""
    began = perf_counter()
    await call
    return perf_counter() - began


async def measure() -> None:
    """Print both medians for both kinds."""
    notification: Any = next(
        each for each in app.get_functions() if each.get_function_name() == "notification"
    ).get_user_function()
    calendar = await services()
    await calendar.storage.create()
    employees = [Employee(number) for number in range(USERS + 1)]
    await calendar.users.add_all([(employee.user, (employee.mailbox,)) for employee in employees])
    subscription = Subscription("S", now(), now())
    guids = [employee.user.guid for employee in employees]
    for guid in guids:
        await calendar.users.set_mailbox(guid, MailboxState.FOUND, "somebody@example.com")
        await calendar.users.set_subscription(guid, subscription)
    body = write_notification("S", "0", [("1", Event("ModifiedEvent"))])

    async def notify(guid: str) -> None:
        secret = calendar.callbacks.address_of(guid).rpartition("/")[2]
        route = {"guid": guid, "secret": secret}
        request = func.HttpRequest("POST", "https://calendar.example.com/", route_params=route, body=body)
        answer = await notification(request)
        assert b"OK" in answer.get_body()

    bare = Bare(calendar.storage)
    first, *others = guids
    for warm in (notify, bare.ask):
        await warm(first)
    for title, real, plain, chosen in (
        ("asks for a reading", notify, bare.ask, others),
        ("a reading waits already", notify, bare.ignore, others[::2]),
    ):
        print(await compare(title, real, plain, chosen))


async def compare(
    title: str,
    real: Callable[[str], Awaitable[None]],
    plain: Callable[[str], Awaitable[None]],
    guids: list[str],
) -> str:
    """A line about both, each called for every other user."""
    ours, bare = [], []
    requests = Requests()
    for one, other in zip(guids[::2], guids[1::2], strict=True):
        with requests.counted():
            ours.append(await timed(real(one)))
        bare.append(await timed(plain(other)))
    here, there = statistics.median(ours), statistics.median(bare)
    calls = ", ".join(f"{n / len(ours):.2f} {kind}" for kind, n in sorted(requests.counts.items()))
    return (
        f"{title}: median {here * 1000:.1f} ms, bare {there * 1000:.1f} ms, ratio {here / there:.2f} "
        f"(at most {RATIO}); storage calls each: {calls}"
    )


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    with Azurite() as emulator:
        os.environ |= app_settings(emulator.connection_string)
        Environment.read(os.environ)
        asyncio.run(measure())
