"""Where Exchange was found, in the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.ews.discovery import Kind, Step
from shared.ews.location import Kept, Location
from shared.state.locations import LocationStore
from shared.state.storage import Storage

NOW = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
STEP = Step(Kind.POX, "https://example.com/autodiscover/autodiscover.xml", "HTTP 404", "passed over")
KEPT = Kept("a@example.com", True, None, NOW, NOW + timedelta(minutes=5), (STEP,), "Searching", "Wait.")


async def test_comes_back_as_it_was_kept(storage: Storage) -> None:
    store = LocationStore(storage)
    assert await store.get() is None
    claimed = await store.put(KEPT)
    assert claimed is not None
    assert await store.get() == claimed == replace(KEPT, etag=claimed.etag)
    location = Location("https://mail.example.com/EWS/Exchange.asmx", "discovered", True, True, "15.2.1748")
    found = await store.put(replace(claimed, location=location, code="", text=""))
    assert await store.get() == found
    assert found is not None
    assert found.location == location


async def test_of_two_writers_one_wins(storage: Storage) -> None:
    store = LocationStore(storage)
    first = await store.put(KEPT)
    assert first is not None
    assert await store.put(KEPT) is None
    assert await store.put(replace(first, code="x")) is not None
    assert await store.put(replace(first, code="y")) is None
    kept = await store.get()
    assert kept is not None
    assert kept.code == "x"


async def test_a_long_trace_keeps_its_end(storage: Storage) -> None:
    store = LocationStore(storage)
    steps = tuple(replace(STEP, outcome=str(number) + "x" * 400) for number in range(100))
    await store.put(replace(KEPT, steps=steps))
    kept = await store.get()
    assert kept is not None
    assert 20 < len(kept.steps) < 100
    assert kept.steps[-1] == steps[-1]


async def test_the_pause_after_a_search_can_be_ended(storage: Storage) -> None:
    store = LocationStore(storage)
    await store.end_pause(KEPT.at)
    assert await store.get() is None
    kept = await store.put(KEPT)
    now = KEPT.not_before - timedelta(seconds=1)
    await store.end_pause(now)
    ended = await store.get()
    assert kept is not None
    assert ended is not None
    assert ended == replace(kept, not_before=now, etag=ended.etag)
    await store.end_pause(now)
    assert await store.get() == ended, "it is over already"
