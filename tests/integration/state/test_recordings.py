"""The debug record in its table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.ews.recording import Record
from shared.state.recordings import RecordingStore
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, 0, 0, 7, tzinfo=UTC)
RECORD = Record(NOW, 0.5, "https://mail.example.com/", {"a": "b"}, "<x/>", 200, {"c": "d"}, "<y/>", "")


async def test_comes_back_in_order_of_time(storage: Storage) -> None:
    store = RecordingStore(storage)
    later = replace(RECORD, at=NOW + timedelta(seconds=1), error="Timeout")
    for record in (later, RECORD, RECORD):
        await store.add(record)
    assert [each async for each in store.read()] == [RECORD, RECORD, later]


async def test_keeps_so_many_and_no_longer_than_a_day(storage: Storage) -> None:
    store = RecordingStore(storage, most=3)
    records = [replace(RECORD, at=NOW + timedelta(minutes=minute)) for minute in range(6)]
    for record in records:
        await store.add(record)
    assert [each async for each in store.read()] == records[3:]
    await store.prune(NOW + timedelta(days=1, minutes=5))
    assert [each async for each in store.read()] == records[5:]
    await store.clear()
    assert [each async for each in store.read()] == []
