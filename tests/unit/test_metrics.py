"""What is counted: added up in memory, written now and then, never lost to a failing store."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics import COUNTERS, DURATIONS, FLUSH_EVERY, Duration, Metrics, Tally

ROOT = Path(__file__).resolve().parents[2]
MONITORING = (ROOT / "docs" / "monitoring.md").read_text()
NOW = datetime(2026, 11, 23, 9, 59, 30, tzinfo=UTC)


class Kept:
    """Remembers the totals by hour; fails as often as it is told."""

    def __init__(self) -> None:
        self.totals: dict[datetime, Tally] = {}
        self.processes: set[str] = set()
        self.writes = 0
        self.failures = 0

    async def put(self, hour: datetime, process: str, tally: Tally) -> None:
        self.writes += 1
        if self.failures:
            self.failures -= 1
            raise OSError("away")
        self.processes.add(process)
        self.totals[hour] = tally


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def metrics(kept: Kept) -> Metrics:
    return Metrics(kept, "process")


async def test_totals_of_the_hour_are_written(metrics: Metrics, kept: Kept) -> None:
    metrics.count("reads")
    metrics.count("reads", 4)
    metrics.observe("sync", 0.5)
    metrics.observe("sync", 2.0)
    metrics.observe("sync", 1.0)
    await metrics.flush(NOW)
    assert kept.totals == {
        NOW.replace(minute=0, second=0): Tally({"reads": 5}, {"sync": Duration(3, 3.5, 2.0)})  # type: ignore[arg-type]
    }
    assert kept.processes == {"process"}


async def test_where_nothing_was_counted_nothing_is_written(metrics: Metrics, kept: Kept) -> None:
    metrics.count("reads", 0)
    await metrics.flush(NOW)
    assert kept.writes == 0


async def test_totals_are_written_every_15_seconds_at_most(metrics: Metrics, kept: Kept) -> None:
    for second in range(16):
        metrics.count("reads")
        await metrics.flush(NOW + timedelta(seconds=second))
    assert kept.writes == 2
    assert [tally.counts["reads"] for tally in kept.totals.values()] == [16]


async def test_a_new_hour_begins_with_what_was_not_written_yet(metrics: Metrics, kept: Kept) -> None:
    metrics.count("reads", 5)
    await metrics.flush(NOW)
    metrics.count("reads", 2)
    await metrics.flush(NOW + timedelta(minutes=1))
    assert [tally.counts["reads"] for tally in kept.totals.values()] == [5, 2]


async def test_what_could_not_be_written_is_written_later(metrics: Metrics, kept: Kept) -> None:
    kept.failures = 1
    metrics.count("reads", 5)
    metrics.observe("sync", 1.0)
    await metrics.flush(NOW)
    metrics.count("reads", 2)
    await metrics.flush(NOW + FLUSH_EVERY)
    assert [tally.counts["reads"] for tally in kept.totals.values()] == [7]
    assert [tally.durations["sync"] for tally in kept.totals.values()] == [Duration(1, 1.0, 1.0)]


async def test_overlapping_executions_write_once_and_lose_nothing() -> None:
    class Slow(Kept):
        async def put(self, hour: datetime, process: str, tally: Tally) -> None:
            counting.count("reads")
            await counting.flush(NOW + 2 * FLUSH_EVERY)
            await super().put(hour, process, tally)

    slow = Slow()
    counting = Metrics(slow, "process")
    counting.count("reads")
    await counting.flush(NOW)
    assert slow.writes == 1
    await counting.flush(NOW + FLUSH_EVERY)
    assert [tally.counts["reads"] for tally in slow.totals.values()] == [2]


def test_only_what_is_listed_is_counted(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.count("sync")
    with pytest.raises(KeyError):
        metrics.observe("reads", 1.0)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 9), st.booleans()), max_size=30))
async def test_whatever_fails_all_that_was_counted_is_written_in_the_end(
    steps: list[tuple[int, int, bool]],
) -> None:
    kept = Kept()
    metrics = Metrics(kept, "process")
    now = NOW
    for seconds, n, fails in steps:
        now += timedelta(seconds=seconds)
        metrics.count("reads", n)
        kept.failures = int(fails)
        await metrics.flush(now)
    kept.failures = 0
    await metrics.flush(now + FLUSH_EVERY)
    assert sum(tally.counts["reads"] for tally in kept.totals.values()) == sum(n for _, n, _ in steps)


@pytest.mark.parametrize(("heading", "listed"), [("Counters", COUNTERS), ("Durations", DURATIONS)])
def test_every_number_is_documented_with_its_text_and_no_other(heading: str, listed: dict[str, str]) -> None:
    section = MONITORING.split(f"## {heading}\n")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)) == listed


def test_every_number_is_counted_somewhere() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    assert set(re.findall(r"\.count\(\s*\"(\w+)\"", sources)) == set(COUNTERS)
    assert set(re.findall(r"\.execution\(\"(\w+)\"", sources)) == set(DURATIONS)
