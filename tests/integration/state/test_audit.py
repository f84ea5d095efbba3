"""The list of what administrators did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.state.audit import KEPT, Action, AuditStore
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)


async def test_the_latest_action_comes_first(storage: Storage) -> None:
    audit = AuditStore(storage)
    for minutes in (3, 1, 2):
        await audit.record(Action(NOW + timedelta(minutes=minutes), "Anna", "read again", f"user {minutes}"))
    assert [(action.at, action.who, action.what, action.about) for action in await audit.latest(10)] == [
        (NOW + timedelta(minutes=minutes), "Anna", "read again", f"user {minutes}") for minutes in (3, 2, 1)
    ]


async def test_actions_of_one_instant_are_all_kept(storage: Storage) -> None:
    audit = AuditStore(storage)
    for who in ("Anna", "Ben", "Carla"):
        await audit.record(Action(NOW, who, "signed in"))
    assert {action.who for action in await audit.latest(10)} == {"Anna", "Ben", "Carla"}


async def test_the_list_is_read_in_pages_without_gap_or_repetition(storage: Storage) -> None:
    audit = AuditStore(storage)
    for number in range(7):
        await audit.record(Action(NOW + timedelta(hours=number), "Anna", str(number)))
    pages, after = [], ""
    while page := await audit.latest(3, after):
        pages.append([action.what for action in page])
        after = page[-1].id
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


async def test_an_action_is_forgotten_after_ninety_days(storage: Storage) -> None:
    audit = AuditStore(storage)
    await audit.record(Action(NOW, "Anna", "old"))
    await audit.record(Action(NOW + timedelta(seconds=1), "Anna", "not yet old"))
    await audit.record(Action(NOW + KEPT + timedelta(seconds=1), "Anna", "new"))
    await audit.prune(NOW + KEPT + timedelta(seconds=1))
    assert [action.what for action in await audit.latest(10)] == ["new", "not yet old"]


@pytest.mark.parametrize("id", ["' or PartitionKey ne '", "x", "0-1"])
async def test_an_id_that_no_action_has_is_refused(storage: Storage, id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        await AuditStore(storage).latest(10, id)


async def test_what_is_told_about_an_action_is_bounded(storage: Storage) -> None:
    audit = AuditStore(storage)
    await audit.record(Action(NOW, "Anna", "saved", "x" * 100_000))
    (action,) = await audit.latest(10)
    assert 1000 < len(action.about) < 32 * 1024
