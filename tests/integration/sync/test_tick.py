"""Presences that change by themselves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.errors import PbxLoginRefused
from shared.sync.interfaces import Heartbeat, Trouble, Wish
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, appoint, guid_of

pytestmark = pytest.mark.integration

ANNA, BERND = guid_of("anna"), guid_of("bernd")
REVIEW = appoint("09:30", "10:00", "Review")
LUNCH = appoint("10:00", "11:00", "Lunch")


@pytest.fixture(autouse=True)
async def replicated(world: World) -> None:
    """The directory has nothing to do."""
    await world.health.beat(Heartbeat("directory", world.now, 0, ""))


async def test_begin_and_end_are_presented_without_asking_exchange(world: World) -> None:
    await world.add("anna", calendar=[REVIEW])
    await world.read(ANNA)
    assert (await world.notes())[ANNA].startswith("Free until 10:30")
    asked = len(world.exchange.asked)
    world.queues.take()
    assert await world.ticker.tick(world.rules) == 0

    world.now = REVIEW.start
    assert await world.ticker.tick(world.rules) == 1
    assert world.queues.take() == [Order("publish", (ANNA,), "due")]
    assert (await world.notes())[ANNA].startswith("Review until 11:00")
    assert await world.ticker.tick(world.rules) == 0, "each is presented once"

    world.now = REVIEW.end
    assert await world.ticker.tick(world.rules) == 1
    assert (await world.notes())[ANNA].startswith("Free")
    assert await world.due.due(world.now + 100 * HOUR, 10) == []
    assert len(world.exchange.asked) == asked


async def test_missed_minutes_are_made_up_for(world: World) -> None:
    await world.add("anna", "bernd", calendar=[REVIEW, LUNCH])
    world.exchange.calendars["bernd@example.com"] = [LUNCH]
    await world.read(ANNA, BERND)
    world.now = LUNCH.start + 10 * MINUTE
    assert await world.ticker.tick(world.rules) == 2
    notes = await world.notes()
    assert notes[ANNA].startswith("Lunch until 12:00")
    assert notes[BERND].startswith("Lunch until 12:00")
    assert {due.guid for due in await world.due.due(LUNCH.end, 10)} == {ANNA, BERND}


async def test_a_date_becomes_a_time_at_local_midnight(world: World) -> None:
    tomorrow = appoint("24T09:00", "24T10:00", "Review")
    await world.add("anna", calendar=[tomorrow])
    await world.read(ANNA)
    with_date = (await world.notes())[ANNA]
    world.now = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)  # Midnight in Berlin
    assert await world.ticker.tick(world.rules) == 1
    with_time = (await world.notes())[ANNA]
    assert with_time.startswith("Free until 10:00")
    assert with_date != with_time
    world.now = tomorrow.start
    assert await world.ticker.tick(world.rules) == 1
    assert (await world.notes())[ANNA].startswith("Review until 11:00")


async def test_a_stale_hint_costs_a_look_and_nothing_else(world: World) -> None:
    await world.add("anna", "bernd", calendar=[REVIEW])
    await world.read(ANNA)
    before = await world.notes()
    world.queues.take()
    await world.due.schedule(ANNA, world.now)
    await world.due.schedule(BERND, world.now)
    await world.due.schedule("f" * 32, world.now)
    assert await world.ticker.tick(world.rules) == 3
    assert world.queues.take() == []
    assert await world.notes() == before
    assert len(world.pbx.told) == 1


async def test_who_is_inactive_is_not_presented(world: World) -> None:
    await world.add("anna", calendar=[REVIEW])
    await world.read(ANNA)
    await world.notes()
    await world.users.set_leaving(ANNA)
    world.now = REVIEW.start
    await world.ticker.tick(world.rules)
    assert not await world.outbox.waits()


async def test_who_leaves_while_being_presented_is_cleared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add("anna", calendar=[REVIEW])
    await world.read(ANNA)
    await world.notes()
    put_all = world.outbox.put_all

    async def leave_first(wishes: Sequence[Wish]) -> set[str]:
        monkeypatch.undo()
        await world.farewell.leave(ANNA)
        await world.notes()
        return await put_all(wishes)

    monkeypatch.setattr(world.outbox, "put_all", leave_first)
    world.now = REVIEW.start
    await world.ticker.tick(world.rules)
    assert (await world.notes())[ANNA] == ""
    assert not await world.outbox.waits()


async def test_one_who_cannot_be_presented_is_read_again_and_stops_nobody(world: World) -> None:
    await world.add("anna", "bernd", calendar=[REVIEW])
    await world.read(ANNA, BERND)
    await world.notes()
    world.queues.take()
    damaged = {"PartitionKey": "a", "RowKey": ANNA, "appointments_0": "[{]"}
    await world.storage.table("agendas").merge(damaged)
    world.now = REVIEW.start
    assert await world.ticker.tick(world.rules) == 2
    assert world.queues.take() == [Order("sync", (ANNA,), "due"), Order("publish", (BERND,), "due")]
    assert (await world.notes())[BERND].startswith("Review")


async def test_more_than_a_page_is_presented(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.sync.tick.PAGE", 2)
    guids = await world.add(*"abcde", calendar=[REVIEW])
    await world.read(*guids)
    world.now = REVIEW.start
    assert await world.ticker.tick(world.rules) == 5
    assert all(note.startswith("Review") for note in (await world.notes()).values())


async def test_a_boundary_that_comes_while_presenting_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add("anna", calendar=[REVIEW, LUNCH])
    await world.read(ANNA)
    world.now = REVIEW.start
    put_all = world.outbox.put_all

    async def take_half_an_hour(wishes: Sequence[Wish]) -> set[str]:
        monkeypatch.undo()
        world.now = LUNCH.start
        return await put_all(wishes)

    monkeypatch.setattr(world.outbox, "put_all", take_half_an_hour)
    await world.ticker.tick(world.rules)
    assert (await world.notes())[ANNA].startswith("Lunch")


class TestOverdue:
    async def test_the_directory_is_started_where_its_timer_was_silent(self, world: World) -> None:
        world.now += 2 * HOUR
        await world.ticker.tick(world.rules)
        assert world.queues.take() == [Order("directory", (), "overdue")]

    async def test_a_pbx_that_was_away_is_tried_when_its_pause_is_over(self, world: World) -> None:
        trouble = Trouble("PbxUnavailable", "Away.", world.now, 1, world.now + MINUTE)
        await world.health.set_trouble("pbx", trouble)
        await world.ticker.tick(world.rules)
        assert world.queues.take() == []
        world.now += MINUTE
        await world.ticker.tick(world.rules)
        assert world.queues.take() == [Order("publish", (), "retry")]

    async def test_a_failed_replication_is_tried_when_the_pause_is_over(self, world: World) -> None:
        world.pbx.down = PbxLoginRefused("refused")
        await world.directory.run()
        await world.ticker.tick(world.rules)
        assert world.queues.take() == []
        world.now += MINUTE
        await world.ticker.tick(world.rules)
        assert [order.queue for order in world.queues.take()] == ["directory", "publish"]


async def test_a_newer_agenda_wins_against_a_tick_with_the_former(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add("anna", calendar=[REVIEW])
    await world.read(ANNA)
    world.now = REVIEW.start
    put_all = world.outbox.put_all

    async def read_first(wishes: Sequence[Wish]) -> set[str]:
        monkeypatch.undo()
        world.exchange.calendars["anna@example.com"] = [replace(REVIEW, subject="Changed")]
        await world.read(ANNA)
        return await put_all(wishes)

    monkeypatch.setattr(world.outbox, "put_all", read_first)
    await world.ticker.tick(world.rules)
    assert (await world.notes())[ANNA].startswith("Changed")
