"""Many runs: by seeds, and by killing a worker at every call of one scenario in turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from multiprocessing import get_context
from random import Random

from shared.model import Appointment
from tests.faults.chaos import Chaos, Fault, Point
from tests.faults.crossing import crossing_of, crossings, run_crossing
from tests.faults.life import BEGINNINGS, MINUTE
from tests.faults.memory import MemoryTables
from tests.faults.pbx import member
from tests.faults.run import SOON, Verdict, judge, run, run_seed
from tests.faults.world import World, seed_jitter

BUSY = 16
"""Minutes of the scenario in which something happens."""


@dataclass
class Tally:
    """What all runs together did."""

    runs: int = 0
    failed: list[Verdict] = field(default_factory=list)
    faults: Counter[Fault] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    presences: int = 0
    slowest: timedelta = timedelta()

    def add(self, verdict: Verdict) -> None:
        """Count one more."""
        self.runs += 1
        self.faults += verdict.faults
        self.calls += verdict.calls
        self.kills += verdict.kills
        self.presences += verdict.presences
        if verdict.problems:
            self.failed.append(verdict)
        else:
            self.slowest = max(self.slowest, verdict.recovered)

    def lines(self) -> Iterator[str]:
        """The counts, to be printed."""
        yield f"{self.runs} runs, {len(self.failed)} failed; {self.presences} presences taken by the PBX"
        yield f"{sum(self.calls.values())} calls at {len(self.calls)} places"
        yield f"workers killed at {len(self.kills)} of these places"
        yield f"slowest recovery {self.slowest}"
        for fault, count in self.faults.most_common():
            yield f"  {count:7}  {fault}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How many processes run, and after how many seconds or failures nothing more is begun."""

    jobs: int = 1
    seconds: float = float("inf")
    failures: int = 5


def run_seeds(seeds: Iterable[int], effort: Effort) -> Tally:
    """Random runs."""
    return _each(run_seed, list(seeds), effort)


def run_points(stride: int, first: int, effort: Effort) -> tuple[Tally, int]:
    """The scenario with a kill before and after every ``stride``-th call; also how many calls it has."""
    calm = run_point(0)
    if calm.problems:
        tally = Tally()
        tally.add(calm)
        return tally, calm.number
    points = [sign * number for number in range(first, calm.number + 1, stride) for sign in (1, -1)]
    return _each(run_point, points, effort), calm.number


def run_crossings(stride: int, first: int, effort: Effort, pairs: Sequence[int]) -> tuple[Tally, int]:
    """Executions that cross, one in ``stride``, of these pairs; also how many there are."""
    with ProcessPoolExecutor(effort.jobs, mp_context=get_context("fork")) as pool:
        calm = list(pool.map(run_crossing, [crossing_of(pair) for pair in pairs]))
    tally = Tally()
    for verdict in calm:
        tally.add(verdict)
    numbers = list(crossings({pair: verdict.number for pair, verdict in zip(pairs, calm, strict=True)}))
    if not tally.failed:
        # Each ending of each pair gets its share also where time is short.
        chosen = numbers[first % stride :: stride]
        Random(first).shuffle(chosen)
        _each(run_crossing, chosen, effort, tally)
    return tally, len(numbers)


def run_point(point: int) -> Verdict:
    """The scenario with a kill before this call, or after it where the number is negative; 0: none."""
    return run(lambda loop: _scenario(point))


def _each(
    work: Callable[[int], Verdict], numbers: list[int], effort: Effort, tally: Tally | None = None
) -> Tally:
    tally = tally or Tally()
    end = time.monotonic() + effort.seconds
    waiting = iter(numbers)
    with ProcessPoolExecutor(effort.jobs, mp_context=get_context("fork")) as pool:
        while group := list(islice(waiting, 2 * effort.jobs)):
            for verdict in pool.map(work, group):
                tally.add(verdict)
            if time.monotonic() > end or len(tally.failed) >= effort.failures:
                break
    return tally


async def _scenario(point: int) -> Verdict:
    """Users come, calendars and addresses change, appointments begin and end, a user leaves."""
    seed_jitter(0)
    start = BEGINNINGS[0]
    kill = Point(abs(point), after=point < 0)
    world = World(lambda clock: Chaos(0, {}, clock, kill), start, MemoryTables())
    exchange, pbx = world.exchange, world.pbx

    def appointment(name: str, begin: int, end: int) -> Appointment:
        return Appointment(name, start + begin * MINUTE, start + end * MINUTE, name)

    for number, name in enumerate(("anna", "bert", "carl")):
        exchange.add_mailbox(f"{name}@example.com", [appointment(f"first of {name}", 4 + number, 9)])
        pbx.put(member(f"{number}" * 32, name, f"{name}@example.com"))
    exchange.add_mailbox("other@example.com", [appointment("of another", 2, 60)])
    steps: dict[float, Callable[[], None]] = {
        3.2: lambda: exchange.change("anna@example.com", [appointment("second of anna", 3, 30)]),
        6.1: lambda: exchange.change("anna@example.com", []),
        7.1: lambda: exchange.change("bert@example.com", [appointment("second of bert", 8, 11)]),
        8.0: lambda: pbx.put(member("1" * 32, "bert", "other@example.com")),
        8.5: lambda: exchange.lose_subscriptions(),
        8.6: lambda: pbx.remove("2" * 32),
        8.7: lambda: pbx.put(member("3" * 32, "doris", "carl@example.com")),
        12.0: lambda: exchange.change("carl@example.com", [appointment("second of carl", 13, 200)]),
    }
    async with world.running():
        # The hourly replication comes at seven minutes past.
        for minute, step in steps.items():
            await world.sleep_until(start + minute * MINUTE)
            step()
        await world.host.queues.get_queue_client("directory").send_message('{"users": [], "reason": "asked"}')
        await world.sleep_until(start + BUSY * MINUTE)
        busy = world.chaos.number
        world.chaos.peace = True
        verdict = await judge(world, point, timedelta(minutes=110), SOON, early=timedelta(minutes=12))
        verdict.number = busy
        return verdict
