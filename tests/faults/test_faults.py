"""The short form of the proof by faults, and that a killed worker is really gone."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, Fault, Point
from tests.faults.loop import VirtualLoop
from tests.faults.process import Killed, Process

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 5
"""For each of the three parts, begun runs not counted."""


SEEDS, POINTS, CROSSINGS = "--seeds", "--stride", "--crossings"


@pytest.mark.parametrize(("part", "effort"), [(SEEDS, 5), (POINTS, 197), (CROSSINGS, 67)])
def test_in_the_end_every_presence_is_right_and_none_was_never_true(part: str, effort: int) -> None:
    parts = {SEEDS: 0, POINTS: 0, CROSSINGS: 0} | {part: effort}
    chosen = [text for name, value in parts.items() for text in (name, str(value))]
    command = [sys.executable, "-m", "tests.faults", "--jobs", "2", "--seconds", str(SECONDS), *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = re.search(r"^(\d+) runs, 0 failed; (\d+) presences", done.stdout, re.MULTILINE)
    assert runs is not None
    assert all(int(count) > 0 for count in runs.groups())
    killed = re.search(r"^workers killed at (\d+) of these places", done.stdout, re.MULTILINE)
    assert killed is not None
    assert (int(killed[1]) > 0) is (part != CROSSINGS)
    kinds = re.findall(r"^ +[1-9]\d*  (.+)$", done.stdout, re.MULTILINE)
    assert len(kinds) >= {SEEDS: len(Fault) // 2, POINTS: 1, CROSSINGS: 0}[part]


def _process(point: Point) -> Process:
    return Process(1, Chaos(0, {}, lambda: datetime(2026, 11, 23, tzinfo=UTC), point))


async def _kill(process: Process) -> list[str]:
    """Two tasks write and clean up; one of their calls is the point."""
    written: list[str] = []

    async def write(text: str) -> None:
        async def effect() -> None:
            written.append(text)

        await process.call("write", effect, fastest=0.1, slowest=0.2)

    async def work(name: str) -> None:
        try:
            await write(f"{name} 1")
            await asyncio.sleep(10)
            await write(f"{name} 2")
        finally:
            await write(f"{name} cleans up")

    tasks = [asyncio.create_task(work(name)) for name in "ab"]
    process.tasks |= dict.fromkeys(tasks)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, Killed | asyncio.CancelledError) for end in ends)
    return written


@pytest.mark.parametrize(
    ("number", "after", "written"),
    [
        (3, False, ["a 1", "b 1"]),
        (3, True, ["a 1", "b 1", "2"]),
    ],
)
def test_nothing_that_a_killed_worker_still_tries_has_an_effect(
    number: int, after: bool, written: list[str]
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        done = runner.run(_kill(_process(Point(number, after))))
    assert not [text for text in done if "cleans up" in text]
    assert done[:2] in (["a 1", "b 1"], ["b 1", "a 1"])
    # The other one's call may have been on its way.
    assert (len(done) > 2) >= after


def test_simulated_hours_pass_in_an_instant_and_in_order() -> None:
    async def sleepers() -> list[float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ended = []

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            ended.append(round(loop.time() - began, 3))

        await asyncio.gather(sleep(7200), sleep(0.5), sleep(3600))
        return ended

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(sleepers()) == [0.5, 3600, 7200]
