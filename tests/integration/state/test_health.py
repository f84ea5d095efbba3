"""What an administrator wants to know at a glance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.state.health import Health
from shared.state.storage import Storage
from shared.sync.interfaces import Census, Heartbeat, Overview, Progress, Trouble

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TROUBLE = Trouble("PbxLoginRefused", "The PBX refused the app.", NOW, 3, NOW + timedelta(minutes=2))


@pytest.fixture
def health(storage: Storage) -> Health:
    return Health(storage)


async def test_trouble_is_kept_for_each_system_until_it_is_over(health: Health) -> None:
    assert await health.trouble("pbx") is None
    await health.set_trouble("pbx", TROUBLE)
    assert await health.trouble("pbx") == TROUBLE
    assert await health.trouble("exchange") is None
    await health.set_trouble("pbx", None)
    assert await health.trouble("pbx") is None


async def test_the_last_heartbeat_of_each_task_is_kept(health: Health) -> None:
    assert await health.heartbeat("tick") is None
    first, second = Heartbeat("tick", NOW, 0.5, "TypeError"), Heartbeat("tick", NOW, 1.0, "")
    await health.beat(first)
    assert await health.heartbeat("tick") == first
    await health.beat(second)
    assert await health.heartbeat("tick") == second
    assert await health.heartbeat("midnight") is None


async def test_how_far_a_round_has_come_is_kept(health: Health) -> None:
    assert await health.progress("midnight") is None
    begun = Progress("2026-11-22", 3, 1200, NOW)
    await health.set_progress("midnight", begun)
    assert await health.progress("midnight") == begun
    ended = replace(begun, done=16, ended=NOW)
    await health.set_progress("midnight", ended)
    assert await health.progress("midnight") == ended
    assert await health.progress("poll") is None


async def test_when_a_round_has_read_last_is_kept_beside_how_far_it_has_asked(health: Health) -> None:
    await health.set_last_read("midnight", NOW)
    assert await health.progress("midnight") is None, "there is no such round"
    begun = Progress("2026-11-22", 3, 1200, NOW)
    await health.set_progress("midnight", begun)
    await health.set_last_read("midnight", NOW + timedelta(minutes=1))
    await health.set_progress("midnight", replace(begun, done=4))
    read = replace(begun, done=4, last_read=NOW + timedelta(minutes=1))
    assert await health.progress("midnight") == read
    following = Progress("2026-11-23", 1, 400, NOW + timedelta(days=1))
    await health.set_progress("midnight", following)
    assert await health.progress("midnight") == following, "what the round before has read does not count"


CENSUS = Census(NOW, 0.5, 10, 6, 2, 1, 1, 3, 2, 1, 5, 4, NOW - timedelta(hours=2), NOW, None)


async def test_the_last_census_is_kept(health: Health) -> None:
    assert await health.census() is None
    await health.set_census(CENSUS)
    assert await health.census() == CENSUS


async def test_all_of_it_comes_at_once(health: Health, storage: Storage) -> None:
    assert await health.overview() == Overview({}, {}, {}, None)
    await storage.table("health").put({"PartitionKey": "discovery", "RowKey": "exchange", "code": "X"})
    await health.set_trouble("pbx", TROUBLE)
    await health.set_trouble("exchange", None)
    await health.beat(Heartbeat("tick", NOW, 0.5, ""))
    await health.set_progress("poll", Progress("x", 16, 2, NOW, NOW))
    await health.set_census(CENSUS)
    assert await health.overview() == Overview(
        {"pbx": TROUBLE},
        {"tick": Heartbeat("tick", NOW, 0.5, "")},
        {"poll": Progress("x", 16, 2, NOW, NOW)},
        CENSUS,
    )
