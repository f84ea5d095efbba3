"""The totals of each hour and process, added up for the page and forgotten after eight days."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shared.metrics import COUNTERS, DURATIONS, Duration, Tally
from shared.state.counters import KEPT_FOR, CounterStore
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 23, 9, 40, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRESENT = NOW.replace(minute=0)


@pytest.fixture
def counters(storage: Storage) -> CounterStore:
    return CounterStore(storage)


async def test_the_totals_of_all_processes_are_added_up_by_the_hour(counters: CounterStore) -> None:
    await counters.put(PRESENT, "a", Tally(Counter(reads=3), {"sync": Duration(2, 3.0, 2.5)}))
    await counters.put(PRESENT, "b", Tally(Counter(reads=4, due=1), {"sync": Duration(1, 4.0, 4.0)}))
    await counters.put(PRESENT - 23 * HOUR, "a", Tally(Counter(reads=7)))
    await counters.put(PRESENT - 24 * HOUR, "a", Tally(Counter(reads=100)))
    await counters.put(PRESENT + HOUR, "a", Tally(Counter(reads=100)))
    hours = await counters.last_day(NOW)
    assert [hour.begin for hour in hours] == [PRESENT - back * HOUR for back in range(23, -1, -1)]
    assert hours[0].counts == {"reads": 7}
    assert hours[-1].counts == {"reads": 7, "due": 1}
    assert hours[-1].durations == {"sync": Duration(3, 7.0, 4.0)}
    assert all(not hour.counts and not hour.durations for hour in hours[1:-1])


async def test_later_totals_take_the_place_of_the_earlier(counters: CounterStore) -> None:
    await counters.put(PRESENT, "a", Tally(Counter(reads=3)))
    await counters.put(PRESENT, "a", Tally(Counter(reads=5)))
    assert (await counters.last_day(NOW))[-1].counts == {"reads": 5}


async def test_every_number_has_room_in_a_record(counters: CounterStore) -> None:
    everything = Tally(
        Counter(dict.fromkeys(COUNTERS, 2**31 - 1)), dict.fromkeys(DURATIONS, Duration(1, 1.5, 1.5))
    )
    await counters.put(PRESENT, "a", everything)
    present = (await counters.last_day(NOW))[-1]
    assert (present.counts, present.durations) == (everything.counts, everything.durations)


async def test_what_is_older_than_eight_days_is_removed(counters: CounterStore, storage: Storage) -> None:
    for number in range(130):
        await counters.put(PRESENT - KEPT_FOR - HOUR, f"p{number:03}", Tally(Counter(reads=1)))
    await counters.put(PRESENT - KEPT_FOR, "a", Tally(Counter(reads=2)))
    await counters.prune(NOW)
    await counters.prune(NOW)
    left = [entity["counts"] async for entity in storage.table("counters").query("PartitionKey ne ''")]
    assert left == ['{"reads": 2}']


async def test_names_of_another_version_are_left_out(counters: CounterStore) -> None:
    await counters.put(PRESENT, "a", Tally(Counter(reads=3, gone=4), {"gone": Duration(1, 1.0, 1.0)}))
    present = (await counters.last_day(NOW))[-1]
    assert (present.counts, present.durations) == ({"reads": 3}, {})
