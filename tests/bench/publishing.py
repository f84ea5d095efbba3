"""Everybody's presence changes in the same minute: from the tick to the PBX's last acknowledgement.

Beside it a bare websocket client sends the same messages to the same PBX, with as many under way, and a bare
HTTP client makes the same requests to the tables, one after the other: what remains is this project's. A
second company of twice the size shows how both grow. A number after ``python -m tests.bench.publishing`` is
the size of the smaller company.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter, process_time

from cryptography.fernet import Fernet
from websockets.asyncio.client import connect

import shared.sync.presenting
from dev.azurite import Azurite
from shared.environment import Environment
from shared.pbx.session import WINDOW, Assignment, Outcome, PbxLink, PbxSession, open_session
from shared.state.agendas import AgendaStore
from shared.state.due import DueIndex
from shared.state.health import Health
from shared.state.leases import Leases
from shared.state.outbox import Outbox
from shared.state.queues import WorkQueues
from shared.state.storage import Storage
from shared.state.users import UserStore
from shared.sync.directory import TASK
from shared.sync.interfaces import Heartbeat
from shared.sync.leaving import Farewell
from shared.sync.presenting import Presenter
from shared.sync.publishing import Publisher
from shared.sync.tick import Ticker
from tests.bench.parts.company import MEETING, RULES, Employee, forget, settle, tell
from tests.bench.parts.processes import pbx
from tests.bench.parts.requests import Requests
from tests.bench.parts.shares import Shares

SIZE = 10_000
MEASUREMENTS = 2
TURNS = 3
RATIO = 1.5
GROWTH = 2.2


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds: in total, of processor, by activity, of the PBX part once more, and of the bare clients."""

    users: int
    told: int
    tick: float
    total: float
    cpu: float
    shares: dict[str, float]
    calls: dict[str, int]
    again: float
    bare: float
    tables: float


def clock() -> datetime:
    """The minute in which the meeting begins."""
    return MEETING


async def measure(count: int, shares: Shares) -> Result:
    """Bring one company's change to a PBX."""
    employees = [Employee(number) for number in range(count)]
    with (
        Azurite() as emulator,
        tempfile.TemporaryDirectory() as directory,
        pbx(Path(directory), employees) as link,
    ):
        environment = Environment.read(
            {
                "AzureWebJobsStorage": emulator.connection_string,
                "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
                "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
            }
        )
        async with Storage.open(environment) as storage:
            await storage.create()
            await settle(storage, employees)
            outbox, health, queues = Outbox(storage), Health(storage), WorkQueues(storage)
            await health.beat(Heartbeat(TASK, MEETING, 0.0, ""))
            users, agendas = UserStore(storage), AgendaStore(storage)
            farewell = Farewell(users, agendas, outbox)
            presenter = Presenter(agendas, DueIndex(storage), outbox, farewell, clock)
            ticker = Ticker(users, DueIndex(storage), presenter, health, queues, clock)

            sent: list[str] = []
            pages: list[Sequence[Assignment]] = []

            @asynccontextmanager
            async def session() -> AsyncIterator[PbxSession]:
                async with open_session(link) as opened:
                    send = opened._connection.send

                    async def keep(message: str) -> None:
                        sent.append(message)
                        await send(message)

                    opened._connection.send = keep  # type: ignore[method-assign,assignment]
                    told = opened.set_presences

                    async def tell_page(page: Sequence[Assignment]) -> list[Outcome]:
                        pages.append(page)
                        return await told(page)

                    opened.set_presences = tell_page  # type: ignore[method-assign,assignment]
                    opened.set_presences = shares.awaited("PBX", opened.set_presences)  # type: ignore[method-assign,assignment]
                    yield opened

            publisher = Publisher(outbox, farewell, Leases(storage), health, queues, session, clock)
            requests = Requests()
            with requests.counted():
                shares.start()
                began, cpu = perf_counter(), process_time()
                await ticker.tick(RULES)
                ticked = perf_counter() - began
                told = (await publisher.publish()).presences
                total, cpu = perf_counter() - began, process_time() - cpu
            measured, calls = shares.stop(), dict(shares.calls)
            waits = await outbox.waits()
            await forget(storage)
            await tell(storage, employees)
            tables = await requests.send_bare()
        if told != count or waits:
            raise SystemExit(f"{told} of {count} presences were acknowledged")
        messages = [text for text in sent if '"SetPresence"' in text]
        turns = [(await send_again(link, pages), await send_bare(link, messages)) for _ in range(TURNS)]
        again, bare = (min(each) for each in zip(*turns, strict=True))
    return Result(count, told, ticked, total, cpu, measured, calls, again, bare, tables)


async def send_again(link: PbxLink, pages: Sequence[Sequence[Assignment]]) -> float:
    """The seconds that the same presences take over this project's session, page by page."""
    async with open_session(link) as session:
        began = perf_counter()
        for page in pages:
            outcomes = await session.set_presences(page)
            assert all(outcome.error is None for outcome in outcomes)
        return perf_counter() - began


async def send_bare(link: PbxLink, messages: list[str]) -> float:
    """The seconds that the same messages take without this project's session."""
    trust = ssl.create_default_context(cadata=link.certificate)
    async with connect(link.url, ssl=trust, compression=None, proxy=None) as connection:
        await connection.send('{"mt":"AppChallenge"}')
        challenge = json.loads(await connection.recv())["challenge"]
        digest = hashlib.sha256(f"{link.app}:::::{challenge}:{link.password}".encode()).hexdigest()
        login = {"mt": "AppLogin", "app": link.app, "domain": "", "sip": "", "guid": "", "dn": ""}
        await connection.send(json.dumps(login | {"digest": digest}))
        assert json.loads(await connection.recv())["ok"]
        began = perf_counter()
        under_way = 0
        for message in messages:
            if under_way == WINDOW:
                json.loads(await connection.recv())
                under_way -= 1
            await connection.send(message)
            under_way += 1
        for _ in range(under_way):
            json.loads(await connection.recv())
        return perf_counter() - began


def show(result: Result) -> None:
    """Print what one company took."""
    print(
        f"{result.users} users: {result.total:.1f} s, all {result.told} acknowledged; "
        f"composed and wanted after {result.tick:.1f} s; "
        f"processor {result.cpu / result.users * 1000:.2f} ms each"
    )
    for activity, seconds in sorted(result.shares.items(), key=lambda item: -item[1]):
        calls = f"   {result.calls[activity]} times" if activity in result.calls else ""
        print(f"    {activity:13} {seconds:6.2f} s  {seconds / result.total:4.0%}{calls}")
    ratio = result.again / result.bare
    print(
        f"    PBX part / bare websocket client, in turns, the best of {TURNS}: {ratio:.2f} "
        f"(at most {RATIO}; {result.again:.2f} s, bare {result.bare:.2f} s)"
    )
    requests = sum(result.calls[kind] for kind in ("table reads", "table writes"))
    print(
        f"    all / the same requests to the tables by a bare client: {result.total / result.tables:.2f} "
        f"(bare {result.tables:.2f} s); requests to the tables a presence: {requests / result.users:.2f}"
    )


def main() -> None:
    """Measure and print."""
    logging.disable(logging.ERROR)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    shares = Shares()
    shares.watch_tables()
    shared.sync.presenting.compose = shares.called("composing", shared.sync.presenting.compose)  # type: ignore[attr-defined]
    turns = [[asyncio.run(measure(count, shares)) for count in (size, 2 * size)] for _ in range(MEASUREMENTS)]
    once, twice = (min(results, key=lambda result: result.total) for results in zip(*turns, strict=True))
    show(once)
    show(twice)
    print(
        f"twice the users take {twice.total / once.total:.2f} times as long (at most {GROWTH}), "
        f"in turns, the best of {MEASUREMENTS}; "
        f"the bare requests to the tables {twice.tables / once.tables:.2f} times"
    )


if __name__ == "__main__":
    main()
