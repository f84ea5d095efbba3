"""One run by a seed: a while of chaos, then peace, then the verdict."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.faults.chaos import RATES, Chaos, Fault
from tests.faults.life import BEGINNINGS, MINUTE, Life, Weather
from tests.faults.loop import VirtualLoop
from tests.faults.memory import MemoryTables
from tests.faults.world import World, seed_jitter

CHAOS = timedelta(minutes=100)
PEACE = timedelta(minutes=150)
SOON = timedelta(minutes=90)
"""After which everything must be right: a subscription that was lost is noticed after 70 minutes."""

DOUBLED = 5
"""In one of so many runs every message comes twice."""

LOOK_EVERY = timedelta(minutes=5)


@dataclass(slots=True)
class Verdict:
    """What became of a run. ``recovered`` is how long after the last fault everything was right for good."""

    seed: int
    problems: list[str] = field(default_factory=list)
    recovered: timedelta = timedelta()
    presences: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    number: int = 0
    trace: list[str] = field(default_factory=list)


def run_seed(seed: int, tables: Callable[[VirtualLoop], Any] | None = None) -> Verdict:
    """A random run."""
    return run(lambda loop: _storm(seed, tables(loop) if tables else MemoryTables()))


def run(work: Callable[[VirtualLoop], Any]) -> Verdict:
    """Carry out one run in a loop of its own."""
    loop = VirtualLoop()
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            verdict = runner.run(work(loop))
    finally:
        gc.collect()
    assert isinstance(verdict, Verdict)
    return verdict


async def _storm(seed: int, tables: Any) -> Verdict:
    seed_jitter(seed)
    start = BEGINNINGS[seed % len(BEGINNINGS)]
    rates = {**RATES, Fault.MESSAGE_DOUBLED: 1.0} if seed % DOUBLED == 0 else RATES
    world = World(lambda clock: Chaos(seed, rates, clock), start, tables)
    life, weather = Life(world), Weather(world)
    life.populate(world.chaos.life.randint(3, 7))
    end = start + CHAOS
    async with world.running():
        await asyncio.gather(life.live(end), weather.rage(end))
        await world.sleep_until(end)
        world.chaos.peace = True
        world.chaos.say("peace")
        return await judge(world, seed, PEACE, SOON)


async def judge(
    world: World, seed: int, peace: timedelta, soon: timedelta, *, early: timedelta | None = None
) -> Verdict:
    """Wait, look now and then, and say what is wrong later than ``soon``.

    Where nothing is wrong and nothing waits ``early`` after the beginning, the rest is spared.
    """
    began = world.clock()
    verdict = Verdict(seed)
    wrong: list[str] = []
    last_wrong = began
    look = began.replace(second=40, microsecond=0) + MINUTE
    while look < began + peace:
        await world.sleep_until(look)
        look += LOOK_EVERY
        wrong = list(world.oracle.faults(world.clock()))
        if wrong:
            last_wrong = world.clock()
            if last_wrong > began + soon:
                verdict.problems += [f"{last_wrong:%d %H:%M:%S} {text}" for text in wrong]
        elif early is not None and world.clock() - began >= early and not world.host.waits():
            break
    verdict.recovered = last_wrong - began
    verdict.problems += world.host.left()
    return conclude(world, verdict)


def conclude(world: World, verdict: Verdict) -> Verdict:
    """Add what was wrong on the way, and the counts."""
    verdict.problems += [
        f"{taken.at:%d %H:%M:%S} {taken.guid[:4]} was given what was never true: {taken.activity, taken.note}"
        for taken in world.pbx.taken
        if not world.oracle.is_true(taken)
    ]
    verdict.problems += [
        f"{count} times {error}"
        for error, count in world.host.errors.items()
        # What an administrator does in vain they are told.
        if not error.endswith(("ServiceRequestError", "ServiceResponseError", ": administrator"))
    ]
    if world.chaos.overrun:
        verdict.problems.append(world.chaos.overrun)
    verdict.presences = len(world.pbx.taken)
    verdict.faults, verdict.calls, verdict.kills = world.chaos.counts, world.chaos.calls, world.chaos.kills
    verdict.runs, verdict.errors, verdict.number = world.host.runs, world.host.errors, world.chaos.number
    if verdict.problems:
        verdict.trace = list(world.chaos.trace)
    return verdict
