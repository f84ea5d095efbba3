"""Everybody's calendar is read, as after midnight: real NTLM and TLS, an Exchange that answers after 20 ms.

The calendars are read by a worker process of its own, four messages of twenty users at a time. A second
company of twice the size shows how the time and the memory grow. A number after ``python -m
tests.bench.midnight`` is the size of the smaller company.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from dev.azurite import Azurite
from shared.environment import Environment
from shared.state.budget import HIGHEST
from shared.state.queues import WorkQueues
from shared.state.storage import Storage, write_instant
from tests.bench.parts.company import NIGHT, Employee, settle
from tests.bench.parts.installation import ACCOUNT, app_settings, configure
from tests.bench.parts.processes import exchange

SIZE = 10_000
MEASUREMENTS = 2
DELAY = 0.02
MEMORY = 400
GROWTH = 2.2


@dataclass(frozen=True, slots=True)
class Result:
    """What one company took: seconds, of them the worker's processor's; MB; requests at Exchange."""

    users: int
    seconds: float
    cpu: float
    memory: float
    readings: int
    requests: int


async def measure(count: int) -> Result:
    """Have everybody read once."""
    employees = [Employee(number) for number in range(count)]
    with (
        Azurite() as emulator,
        tempfile.TemporaryDirectory() as directory,
        exchange(Path(directory), employees, "--user", ACCOUNT) as (address, control, authority),
    ):
        settings = app_settings(emulator.connection_string)
        environment = Environment.read(settings)
        async with Storage.open(environment) as storage:
            await storage.create()
            await settle(storage, employees)
            await configure(storage, environment, {"url": address, "certificate": authority}, NIGHT)
            # What a day without trouble has grown it to.
            await storage.table("budget").put(
                {"PartitionKey": "budget", "RowKey": "exchange", "limit": HIGHEST, "slots": "{}"}
                | {"not_before": "", "changed_at": write_instant(NIGHT)}
            )
            await WorkQueues(storage).read([employee.user.guid for employee in employees], "midnight")
            async with httpx.AsyncClient(base_url=control, timeout=60) as api:
                (await api.post("/faults", json={"kind": "delay", "seconds": DELAY})).raise_for_status()
                await api.delete("/statistics")
                worker = await run_worker(settings)
                statistics = (await api.get("/statistics")).json()
            night = write_instant(NIGHT)
            stored = storage.table("agendas").query(f"read_at gt '{night}'", select=["RowKey"])
            read = len([record async for record in stored])
    if read != count:
        raise SystemExit(f"{read} of {count} calendars were read")
    readings = statistics["operations"]["FindItem"]
    return Result(count, worker["seconds"], worker["cpu"], worker["memory"], readings, statistics["requests"])


async def run_worker(settings: dict[str, str]) -> dict[str, float]:
    """Run a worker process until nothing waits; what it says of itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.parts.reading", NIGHT.isoformat()),
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("the worker failed")
    result: dict[str, float] = json.loads(said)
    return result


def show(result: Result) -> None:
    """Print what one company took."""
    print(
        f"{result.users} mailboxes: {result.seconds:.1f} s, {result.users / result.seconds:.0f} a second; "
        f"the worker's processor {result.cpu / result.users * 1000:.1f} ms each, "
        f"peak of memory {result.memory:.0f} MB (at most {MEMORY})"
    )
    print(
        f"    FindItem a mailbox: {result.readings / result.users:.2f}; "
        f"HTTP requests with signing in: {result.requests / result.users:.2f}"
    )


def main() -> None:
    """Measure and print."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    turns = [[asyncio.run(measure(count)) for count in (size, 2 * size)] for _ in range(MEASUREMENTS)]
    once, twice = (min(results, key=lambda result: result.seconds) for results in zip(*turns, strict=True))
    show(once)
    show(twice)
    print(
        f"twice the mailboxes take {twice.seconds / once.seconds:.2f} times as long (at most {GROWTH}), "
        f"in turns, the best of {MEASUREMENTS}"
    )


if __name__ == "__main__":
    main()
