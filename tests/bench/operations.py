"""How many operations of the storage account a user's day takes, by kind and by function.

The functions of this app run over a simulated day, wired as in production, with a storage account in memory,
a model of Exchange and one of the PBX (`tests.faults`, without faults). Everybody has ten appointments a day
and makes six changes. Two companies of different size tell what each user adds from what the installation
takes anyway. Run it with ``python -m tests.bench.operations``.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.model import Appointment
from tests.faults.chaos import Chaos
from tests.faults.loop import VirtualLoop
from tests.faults.memory import MemoryTables
from tests.faults.pbx import member
from tests.faults.process import function
from tests.faults.world import World, seed_jitter

SIZES = (20, 60)
MIDNIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)
"""In Berlin, before a Monday."""

APPOINTMENTS, CHANGES = 10, 6
KINDS = ("read", "write", "transaction", "queue")
_ARRIVAL = timedelta(hours=3)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Day:
    """Operations by kind and function, and executions by function: of one user, or of an installation."""

    operations: dict[tuple[str, str], float]
    executions: dict[str, float]

    def of_kind(self, kind: str) -> float:
        """Operations of one kind."""
        return sum(number for (each, _), number in self.operations.items() if each == kind)

    def minus(self, other: Day, share: float = 1.0) -> Day:
        """The difference to ``share`` of the other."""
        operations, executions = Counter(self.operations), Counter(self.executions)
        return Day(
            {key: operations[key] - share * other.operations.get(key, 0) for key in operations},
            {key: executions[key] - share * other.executions.get(key, 0) for key in executions},
        )

    def divided(self, users: int) -> Day:
        """One user's part."""
        return Day(
            {key: number / users for key, number in self.operations.items()},
            {key: number / users for key, number in self.executions.items()},
        )


class Counting(Chaos):
    """No faults; counts the calls without an end."""

    def find_kill(self, call: str) -> None:
        """Count it."""
        self.calls[call] += 1


class Count:
    """The operations up to now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pages: Counter[str] = Counter()
        world.tables.page = self._page

    def _page(self) -> int:
        self._pages[function.get()] += 1
        return _PAGE

    def day(self) -> Day:
        """All of them."""
        operations: Counter[tuple[str, str]] = Counter()
        for call, number in self._world.chaos.calls.items():
            name, _, operation = call.partition(": ")
            if kind := _kind(operation):
                operations[kind, name] += number
        for name, number in self._pages.items():
            operations["read", name] += number
        runs = self._world.host.runs
        of_queues = {name for name, _ in self._world.host._functions.values()}
        for name, number in runs.items():
            if name in of_queues:
                # The host receives the message and deletes it.
                operations["queue", name] += 2 * number
        return Day(dict(operations), dict(runs))


def _kind(operation: str) -> str:
    """The kind of a call; pages of queries are counted where they are read, and others are not of storage."""
    match operation.split("."):
        case ["exchange" | "pbx", _] | [_, "query_entities"]:
            return ""
        case [name, _] if name.startswith("queue "):
            return "queue"
        case [_, "get_entity"]:
            return "read"
        case [_, "submit_transaction"]:
            return "transaction"
    return "write"


def replay(users: int) -> Day:
    """A Monday of so many users."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_live(users))


async def _live(users: int) -> Day:
    seed_jitter(1)
    world = World(lambda clock: Counting(1, {}, clock), MIDNIGHT - _ARRIVAL, MemoryTables())
    count = Count(world)
    chance = random.Random(users)
    plans: list[tuple[datetime, Callable[[], None]]] = []
    for number in range(users):
        address = f"user{number}@example.com"
        world.exchange.add_mailbox(address, _appointments(number))
        guid = f"{chance.getrandbits(128):032x}"
        world.pbx.put(member(guid, f"user{number}", address))
        for nth in range(CHANGES):
            moment = MIDNIGHT + timedelta(hours=8, seconds=chance.randrange(9 * 3600))
            plans.append((moment, _change(world, address, nth)))
    async with world.running():
        await world.sleep_until(MIDNIGHT - timedelta(minutes=30))
        before = count.day()
        for moment, change in sorted(plans, key=lambda plan: plan[0]):
            await world.sleep_until(moment)
            change()
        await world.sleep_until(MIDNIGHT + timedelta(hours=23, minutes=30))
        day = count.day().minus(before)
        wrong = list(world.oracle.faults(world.clock()))
        told = Counter(taken.guid for taken in world.pbx.taken)
    # Everybody's appointments begin and end.
    wrong += [f"{guid[:4]} was hardly told of" for guid in world.pbx.rows if told[guid] < APPOINTMENTS]
    if wrong or world.host.errors:
        raise SystemExit(f"the day went wrong: {wrong} {world.host.errors}")
    return day


def _appointments(number: int) -> list[Appointment]:
    """Ten a working day for three days, of half an hour to an hour, some of them back to back."""
    return [
        Appointment(
            f"{number}/{day}/{nth}",
            start := MIDNIGHT + timedelta(days=day, hours=8 + nth, minutes=15 * (number % 4)),
            start + timedelta(minutes=60 if nth % 5 == 4 else 30),
            f"Appointment {nth}",
        )
        for day in range(3)
        for nth in range(APPOINTMENTS)
    ]


def _change(world: World, address: str, nth: int) -> Callable[[], None]:
    """Every third change adds an appointment for tomorrow, the others move one of today or of tomorrow."""

    def change() -> None:
        items = list(world.exchange.calendar(address))
        if nth % 3 == 0:
            start = MIDNIGHT + timedelta(days=1, hours=18, minutes=nth)
            items.append(Appointment(f"{address}/{nth}", start, start + timedelta(minutes=30), "New"))
        else:
            chosen = (nth % 3 - 1) * APPOINTMENTS + nth
            moved = items[chosen]
            by = timedelta(minutes=15)
            items[chosen] = replace(moved, start=moved.start + by, end=moved.end + by)
        world.exchange.change(address, items)

    return change


def measure() -> tuple[Day, Day]:
    """What a user's day takes, and what an installation takes besides."""
    small, large = (replay(size) for size in SIZES)
    user = large.minus(small).divided(SIZES[1] - SIZES[0])
    return user, large.minus(user, SIZES[1])


def main() -> None:
    """Measure and print."""
    user, installation = measure()
    for title, day in (("a user and day", user), ("an installation and day", installation)):
        print(f"{title}: " + ", ".join(f"{day.of_kind(kind):.1f} {kind}" for kind in KINDS))
        print("    executions: " + _most(day.executions))
        for kind in KINDS:
            print(
                f"    {kind}: "
                + _most({name: n for (each, name), n in day.operations.items() if each == kind})
            )


def _most(numbers: dict[str, float]) -> str:
    found = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join(f"{name or 'setup'} {number:.1f}" for name, number in found if number >= 0.05)


if __name__ == "__main__":
    main()
