"""How long the status page and the list of users take in the server with 10,000 users, against the emulator.

Beside each time stands the number of requests to the storage that it took, and the time in which a bare HTTP
client makes as many point reads side by side. Run it with ``python -m tests.bench.administration``.
"""

from __future__ import annotations

import asyncio
import random
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from hmac import digest
from statistics import median
from time import perf_counter, process_time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
from azure.core.pipeline.transport import AioHttpTransport

from dev.azurite import Azurite
from functions.admin.app import create_app
from functions.services import Services
from shared.metrics import Tally
from shared.model import Activity, MailboxState, Presence, User
from shared.settings import parse_section
from shared.state.storage import partition_of
from shared.sync.interfaces import PARTITIONS, Census, Heartbeat, Wish
from tests.bench.listing import make_users
from tests.storage import environment_of

USERS = 10_000
TIMES = 15
HOME = "http://localhost:7071"
PAGES = {
    "status page": "/",
    "its part that refreshes": "/status",
    "first page of users": "/users",
    "page in the middle": "/users?after=koch",
    "search: ten hits": "/users?query=elodie+meyer",
    "search: a common word": "/users?query=ann",
    "search: nobody": "/users?query=xyz",
    "a rare state": "/users?state=without_mailbox",
    "a common state": "/users?state=unresolved",
    "all as a file": "/users.csv",
}
AT_MOST = {"status page": 100, "search: ten hits": 200, "search: a common word": 200, "search: nobody": 200}
"""Milliseconds that are promised."""

SECTIONS = {
    "pbx": {"address": "pbx.example.com", "name": "master", "password": "secret"},
    "exchange": {"sync_type": "on-premises", "user": "calendar@example.com", "password": "secret"},
    "presence": {"timezone": "Europe/Berlin"},
}


async def fill(calendar: Services, users: list[User]) -> None:
    """A company in the middle of a day."""
    now = datetime.now(UTC)
    for name, values in SECTIONS.items():
        await calendar.config.save(name, parse_section(name, values), None, "bench", now)
    await calendar.users.add_all([(user, user.emails) for user in users])
    await calendar.listing.store(users)
    for user in users[:100]:
        await calendar.users.set_mailbox(user.guid, MailboxState.NONE)
    busy = Presence(Activity.BUSY, "Busy until 10:30 #busy #until:1503304200000", now)
    await calendar.outbox.put_all([Wish(user.guid, user.sip, "1", busy) for user in users])
    while waiting := await calendar.outbox.take(now, 1000, PARTITIONS):
        await calendar.outbox.acknowledge(waiting, now)
    for name in ("tick", "midnight", "upkeep", "directory"):
        await calendar.health.beat(Heartbeat(name, now, 0.5, ""))
    await calendar.health.set_census(Census(now, total=USERS, with_mailbox=USERS - 100, without_mailbox=100))
    for hour in range(24):
        for process in range(4):
            tally = Tally(Counter(notifications=500, reads=300, presences=200))
            await calendar.counters.put(now - timedelta(hours=hour), str(process), tally)


@contextmanager
def counting() -> Iterator[list[str]]:
    """The requests to the storage that begin meanwhile."""
    began: list[str] = []
    send = AioHttpTransport.send

    async def count(self: Any, request: Any, **options: Any) -> Any:
        began.append(request.url)
        return await send(self, request, **options)

    AioHttpTransport.send = count
    try:
        yield began
    finally:
        AioHttpTransport.send = send


async def read_bare(session: aiohttp.ClientSession, parts: dict[str, str], guids: list[str]) -> float:
    """The seconds of as many point reads, signed as *Authorize with Shared Key* has it."""

    async def read(guid: str) -> None:
        row = f"/users(PartitionKey='{partition_of(guid)}',RowKey='{guid}')"
        url = parts["TableEndpoint"] + row
        date = format_datetime(datetime.now(UTC), usegmt=True)
        text = f"GET\n\n\n{date}\n/{parts['AccountName']}{urlsplit(url).path}"
        signature = b64encode(digest(b64decode(parts["AccountKey"]), text.encode(), sha256)).decode()
        headers = {
            "Date": date,
            "Accept": "application/json;odata=minimalmetadata",
            "x-ms-version": "2019-02-02",
            "Authorization": f"SharedKey {parts['AccountName']}:{signature}",
        }
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()

    began = perf_counter()
    await asyncio.gather(*map(read, guids))
    return perf_counter() - began


async def measure(connection: str) -> None:
    """Print the median of each page, beside that of the bare reads."""
    environment = environment_of(connection)
    administration = replace(environment.administration, local=True)
    calendar = Services(replace(environment, callback_url=HOME, administration=administration))
    await calendar.storage.create()
    users = make_users(USERS)
    await fill(calendar, users)
    parts = dict(part.split("=", 1) for part in connection.split(";") if part)
    transport = httpx.ASGITransport(create_app(calendar))
    chance = random.Random(1)
    print(f"{'':<26} {'server':>9} {'processor':>10} {'requests':>9} {'bare':>9} {'ratio':>6}")
    async with (
        httpx.AsyncClient(transport=transport, base_url=HOME) as browser,
        aiohttp.ClientSession() as session,
    ):
        for name, path in PAGES.items():
            await browser.get(path)
            took, worked, bare, requests = [], [], [], 0
            for _ in range(TIMES):
                began, cpu = perf_counter(), process_time()
                with counting() as sent:
                    answer = await browser.get(path)
                took.append(perf_counter() - began)
                worked.append(process_time() - cpu)
                assert answer.status_code == 200
                requests = len(sent)
                guids = [chance.choice(users).guid for _ in range(requests)]
                bare.append(await read_bare(session, parts, guids))
            server, alone = median(took), median(bare)
            print(
                f"{name:<26} {server * 1000:6.0f} ms {median(worked) * 1000:7.0f} ms {requests:9} "
                f"{alone * 1000:6.0f} ms {server / alone:6.1f}"
                + (f"   (at most {AT_MOST[name]} ms)" if name in AT_MOST else "")
            )
    await calendar.close()


if __name__ == "__main__":
    with Azurite() as emulator:
        asyncio.run(measure(emulator.connection_string))
