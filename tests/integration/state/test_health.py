"""What an administrator wants to know at a glance."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.state.health import Health
from shared.state.storage import Storage
from shared.sync.interfaces import Heartbeat, Trouble

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


async def test_how_far_midnight_has_come_is_kept(health: Health) -> None:
    assert await health.midnight() is None
    await health.set_midnight("2026-11-22", 3)
    assert await health.midnight() == ("2026-11-22", 3)
