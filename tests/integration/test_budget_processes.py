"""Several worker processes, one simulated Exchange, one storage account: together they keep the budget."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from dev.exchange import ExchangeSimulator
from shared.model import MailboxState, User
from shared.state.budget import FIRST, Budget
from shared.state.storage import Storage
from shared.state.users import UserStore
from shared.sync.interfaces import Grant
from tests.integration.budget_worker import Work

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 3
USERS = 60


class Worker:
    """A process that reads mailboxes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.budget_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, work: Work) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(work)) + "\n")
        self.process.stdin.flush()

    async def finish(self) -> dict[str, float]:
        """When each user was read."""
        assert self.process.stdout is not None
        # A thread that reads can't be interrupted, but the process can be ended.
        patience = asyncio.get_running_loop().call_later(60, self.process.kill)
        line = await asyncio.to_thread(self.process.stdout.readline)
        patience.cancel()
        result: dict[str, float] = json.loads(line)
        return result

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    started = [Worker() for _ in range(WORKERS)]
    for worker in started:
        worker.wait_until_ready()
    yield started
    for worker in started:
        worker.kill()


def guid_of(number: int) -> str:
    return f"{number:032x}"


@dataclass(frozen=True, slots=True)
class System:
    """The simulated Exchange with users who have mailboxes in it."""

    exchange: ExchangeSimulator
    storage: Storage
    connection: str

    def work(self, numbers: range, **others: Any) -> Work:
        exchange = self.exchange
        authority = exchange.ca_pem.decode()
        guids = [guid_of(number) for number in numbers]
        return Work(
            self.connection, exchange.ews_url, authority, exchange.user, exchange.password, guids, **others
        )


@pytest.fixture
async def system(storage: Storage, azurite: str) -> AsyncIterator[System]:
    users = UserStore(storage)

    async def add(number: int) -> None:
        address = f"user{number}@example.com"
        await users.add(User(guid_of(number), f"user{number}"), (address,))
        await users.set_mailbox(guid_of(number), MailboxState.FOUND, address)

    await asyncio.gather(*map(add, range(USERS)))
    seed = [{"address": f"user{number}@example.com"} for number in range(USERS)]
    async with ExchangeSimulator(seed=seed) as exchange:
        yield System(exchange, storage, azurite)


async def read_all(system: System, workers: list[Worker]) -> dict[str, float]:
    """Each worker reads its share of the users."""
    share = USERS // len(workers)
    for number, worker in enumerate(workers):
        worker.begin(system.work(range(number * share, (number + 1) * share)))
    finished = await asyncio.gather(*(worker.finish() for worker in workers))
    assert [len(done) for done in finished] == [share] * len(workers), "every worker finishes its users"
    return {guid: instant for done in finished for guid, instant in done.items()}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def slots_out(system: System) -> int:
    """How many slots are missing from the first limit of a budget."""
    budget, now = Budget(system.storage), datetime.now(UTC)
    free = 0
    while isinstance(await budget.acquire(1, now), Grant):
        free += 1
    return FIRST - free


async def test_all_together_keep_the_limit_and_use_it(system: System, workers: list[Worker]) -> None:
    system.exchange.add_fault("delay", seconds=0.1)
    await read_all(system, workers)
    statistics = system.exchange.statistics
    assert 4 < statistics.max_concurrent <= FIRST
    assert statistics.operations["FindItem"] == USERS
    assert await slots_out(system) == 0


async def test_after_a_busy_signal_nobody_calls_before_the_time_it_named(
    system: System, workers: list[Worker]
) -> None:
    exchange = system.exchange
    for slow in ("user0@example.com", "user20@example.com", "user40@example.com"):
        exchange.add_fault("delay", seconds=1.5, mailbox=slow, times=1)
    exchange.add_fault("delay", seconds=0.05)
    exchange.add_fault("status", times=1, mailbox="user45@example.com", status=503, retry_after=2)
    busy = {"mailbox": "user55@example.com", "code": "ErrorServerBusy", "back_off": 1500}
    exchange.add_fault("soap", times=1, **busy)
    await read_all(system, workers)
    assert exchange.statistics.faults["status"] == 1
    assert exchange.statistics.faults["soap"] == 1
    assert exchange.statistics.premature == 0


async def test_one_users_reading_gets_through_while_bulk_work_runs(
    system: System, workers: list[Worker]
) -> None:
    system.exchange.add_fault("delay", seconds=0.3)
    bulk, single = workers[:2], workers[2]
    for number, worker in enumerate(bulk):
        worker.begin(system.work(range(number * 28, (number + 1) * 28)))
    await until(lambda: system.exchange.statistics.max_concurrent >= 4)
    waited = []
    for number in (58, 59):
        begun = monotonic()
        single.begin(system.work(range(number, number + 1)))
        done = await single.finish()
        waited.append(done[guid_of(number)] - begun)
    finished = [await worker.finish() for worker in bulk]
    end = max(max(done.values()) for done in finished)
    assert monotonic() - end < 5
    assert end > begun + waited[-1], "the bulk work was still running"
    assert [len(done) for done in finished] == [28, 28]
    assert max(waited) < 2.0


async def test_a_killed_workers_slots_come_back(system: System, workers: list[Worker]) -> None:
    fault = system.exchange.add_fault("delay", seconds=60)
    victim = Worker()
    try:
        await asyncio.to_thread(victim.wait_until_ready)
        victim.begin(system.work(range(20)))
        await until(lambda: system.exchange.statistics.operations["FindItem"] == 1)
    finally:
        victim.kill()
    system.exchange.script.remove(fault.id)
    assert await slots_out(system) >= 4
    heir = workers[0]
    heir.begin(system.work(range(20), ahead=301))
    assert len(await heir.finish()) == 20
