"""Calendars are read, stored, and wanted on the PBX."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ExchangeBusy, ExchangeUnavailable, MailboxError
from shared.model import Appointment, MailboxState, Sensitivity, ShowAs
from shared.presence import PresenceRules
from shared.sync.interfaces import Grant
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, appoint

pytestmark = pytest.mark.integration

REVIEW = appoint("08:30", "10:00", "Review")


async def test_a_reading_brings_the_next_48_hours_to_the_pbx(world: World) -> None:
    anna, bernd = await world.add("anna", "bernd", calendar=[REVIEW])
    await world.read(anna, bernd)
    assert world.exchange.windows == [(world.now, world.now + 48 * HOUR)] * 2
    (order,) = world.queues.take()
    assert (order.queue, sorted(order.users), order.reason) == ("publish", [anna, bernd], "test")
    notes = await world.notes()
    assert set(notes) == {anna, bernd}
    assert all(note.startswith("Review until 11:00") for note in notes.values())
    agenda = await world.agendas.get(anna)
    assert agenda is not None
    assert (agenda.appointments, agenda.read_at, agenda.version) == ((REVIEW,), world.now, 1)
    assert (agenda.window_end, agenda.due_at) == (world.now + 48 * HOUR, REVIEW.end)
    assert [due.guid for due in await world.due.due(REVIEW.end, 10)] == [anna, bernd]


async def test_what_changed_nothing_asks_for_no_publishing(world: World) -> None:
    (anna,) = await world.add("anna", calendar=[REVIEW])
    await world.read(anna)
    await world.notes()
    world.queues.take()
    await world.read(anna)
    assert world.queues.take() == []
    agenda = await world.agendas.get(anna)
    assert agenda is not None
    assert agenda.version == 2


async def test_who_has_no_appointments_is_not_told_of(world: World) -> None:
    (anna,) = await world.add("anna")
    await world.read(anna)
    assert world.queues.take() == []
    assert await world.notes() == {}


async def test_private_subjects_are_not_stored(world: World) -> None:
    secret = replace(REVIEW, id="s", subject="Doctor 4711", sensitivity=Sensitivity.PRIVATE)
    (anna,) = await world.add("anna", calendar=[secret])
    await world.read(anna)
    for name in ("agendas", "outbox"):
        stored = [entity async for entity in world.storage.table(name).query("PartitionKey ge ''")]
        assert stored
        assert "Doctor" not in str(stored)
    assert "Doctor" not in str(await world.notes())


async def test_where_subjects_are_hidden_none_is_stored(world: World) -> None:
    world.rules = PresenceRules(timezone="Europe/Berlin", show_subject=False)
    (anna,) = await world.add("anna", calendar=[REVIEW])
    await world.read(anna)
    agenda = await world.agendas.get(anna)
    assert agenda is not None
    assert [appointment.subject for appointment in agenda.appointments] == [""]


class TestOrganizers:
    TENTATIVE = replace(REVIEW, id="t", show_as=ShowAs.TENTATIVE)
    RULES = PresenceRules(timezone="Europe/Berlin", tentative_exception_organizers=("hr@example.com",))

    async def test_are_fetched_where_they_decide(self, world: World) -> None:
        world.rules = self.RULES
        (anna,) = await world.add("anna", calendar=[self.TENTATIVE, REVIEW])
        world.exchange.organizers = {"t": "hr@example.com"}
        await world.read(anna)
        assert world.exchange.count("add_organizers") == 1
        agenda = await world.agendas.get(anna)
        assert agenda is not None
        assert {a.id: a.organizer for a in agenda.appointments} == {"t": "hr@example.com", REVIEW.id: ""}

    async def test_who_was_found_once_is_not_asked_for_again(self, world: World) -> None:
        world.rules = self.RULES
        guids = await world.add("anna", calendar=[self.TENTATIVE])
        world.exchange.organizers = {"t": "hr@example.com", "u": "boss@example.com"}
        await world.read(*guids)
        await world.read(*guids)
        assert [operation for operation, _ in world.exchange.asked] == ["read", "add_organizers", "read"]
        calendar = world.exchange.calendars["anna@example.com"]
        calendar.append(replace(self.TENTATIVE, id="u"))
        await world.read(*guids)
        assert world.exchange.count("add_organizers") == 2, "a new one has to be asked for"
        agenda = await world.agendas.get(guids[0])
        assert agenda is not None
        assert {a.id: a.organizer for a in agenda.appointments} == world.exchange.organizers

    @pytest.mark.parametrize(
        "appointment", [REVIEW, replace(TENTATIVE, organizer="boss@example.com")], ids=["busy", "known"]
    )
    async def test_are_not_fetched_where_they_decide_nothing(
        self, world: World, appointment: Appointment
    ) -> None:
        world.rules = self.RULES
        (anna,) = await world.add("anna", calendar=[appointment])
        await world.read(anna)
        assert world.exchange.count("add_organizers") == 0

    async def test_are_not_fetched_where_nobody_is_an_exception(self, world: World) -> None:
        (anna,) = await world.add("anna", calendar=[self.TENTATIVE])
        await world.read(anna)
        assert world.exchange.count("add_organizers") == 0


class TestOneFails:
    async def test_and_the_others_are_read(self, world: World) -> None:
        anna, bernd, carla = await world.add("anna", "bernd", "carla", calendar=[REVIEW])
        world.exchange.failing["bernd@example.com"] = MailboxError(
            "ErrorMailboxMoveInProgress", "The mailbox is being moved.", retry_after=5 * MINUTE
        )
        await world.read(anna, bernd, carla)
        assert set(await world.notes()) == {anna, carla}
        failure = (await world.find(bernd)).failure
        assert failure is not None
        assert (failure.code, failure.text) == ("ErrorMailboxMoveInProgress", "The mailbox is being moved.")
        assert (failure.since, failure.attempts, failure.retry_at) == (world.now, 1, world.now + 5 * MINUTE)
        assert Order("sync", (bernd,), "test", 5 * MINUTE) in world.queues.take()
        assert (await world.find(anna)).failure is None
        assert await world.health.trouble("exchange") is None

    async def test_again_and_is_tried_less_often(self, world: World) -> None:
        (anna,) = await world.add("anna")
        began = world.now
        world.exchange.failing["anna@example.com"] = MailboxError("X", "Moved.", retry_after=5 * MINUTE)
        delays = []
        for _ in range(3):
            await world.read(anna)
            delays += [order.delay for order in world.queues.take()]
            world.now += HOUR
        assert delays == [5 * MINUTE, 10 * MINUTE, 15 * MINUTE]
        failure = (await world.find(anna)).failure
        assert failure is not None
        assert (failure.since, failure.attempts) == (began, 3)

    async def test_for_good_and_waits_for_midnight(self, world: World) -> None:
        (anna,) = await world.add("anna")
        world.exchange.failing["anna@example.com"] = MailboxError("ErrorAccessDenied", "Denied.")
        await world.read(anna)
        assert world.queues.take() == []
        failure = (await world.find(anna)).failure
        assert failure is not None
        assert failure.retry_at is None

    async def test_by_our_own_fault_and_the_others_are_read(self, world: World) -> None:
        anna, bernd = await world.add("anna", "bernd", calendar=[REVIEW])
        world.exchange.failing["anna@example.com"] = ZeroDivisionError("a subject that must not be shown")
        await world.read(anna, bernd)
        assert set(await world.notes()) == {bernd}
        failure = (await world.find(anna)).failure
        assert failure is not None
        assert (failure.code, failure.text) == (
            "ZeroDivisionError",
            "An error in this software; see the log.",
        )
        assert Order("sync", (anna,), "test", 5 * MINUTE) in world.queues.take()

    async def test_and_it_is_over_when_it_is_read(self, world: World) -> None:
        (anna,) = await world.add("anna")
        world.exchange.failing["anna@example.com"] = MailboxError("X", "Moved.", retry_after=MINUTE)
        await world.read(anna)
        world.exchange.failing.clear()
        await world.read(anna)
        assert (await world.find(anna)).failure is None


class TestExchangeIsDown:
    DOWN = ExchangeUnavailable("HTTP 500", "Exchange failed internally.", retry_after=timedelta(seconds=30))

    async def test_and_nobody_else_is_tried_and_all_are_asked_for_after_the_pause(self, world: World) -> None:
        guids = await world.add(*"abcdef")
        world.exchange.down = self.DOWN
        await world.read(*guids)
        assert len(world.exchange.asked) <= 4
        (order,) = world.queues.take()
        assert (order.queue, sorted(order.users), order.delay) == ("sync", guids, timedelta(seconds=30))
        trouble = await world.health.trouble("exchange")
        assert trouble is not None
        assert (trouble.code, trouble.attempts) == ("HTTP 500", 1)
        assert (await world.find(guids[0])).failure is None, "it is not the users' fault"

        asked = len(world.exchange.asked)
        await world.read(*guids)
        assert len(world.exchange.asked) == asked, "nobody calls during the pause"
        (order,) = world.queues.take()
        assert sorted(order.users) == guids
        assert timedelta(seconds=30) <= order.delay <= timedelta(seconds=32)

    async def test_and_only_one_goes_ahead_until_it_is_back(self, world: World) -> None:
        guids = await world.add(*"abcdef", calendar=[REVIEW])
        world.exchange.down = self.DOWN
        await world.read(*guids)
        world.now += timedelta(seconds=30)
        asked = len(world.exchange.asked)
        await world.read(*guids)
        assert len(world.exchange.asked) == asked + 1
        trouble = await world.health.trouble("exchange")
        assert trouble is not None
        assert trouble.retry_at == world.now + timedelta(seconds=60), "the pause doubles"
        world.now += timedelta(seconds=60)
        world.exchange.down = None
        await world.read(*guids)
        assert await world.health.trouble("exchange") is None
        assert set(await world.notes()) == set(guids)

    async def test_and_those_who_failed_together_count_as_one(self, world: World) -> None:
        guids = await world.add(*"abcdef")
        world.exchange.down = self.DOWN
        await asyncio.gather(*(world.read(*guids) for _ in range(2)))
        trouble = await world.health.trouble("exchange")
        assert trouble is not None
        assert (trouble.attempts, trouble.retry_at) == (1, world.now + timedelta(seconds=30))

    async def test_and_those_who_were_read_before_are_published(self, world: World) -> None:
        anna, bernd = await world.add("anna", "bernd", calendar=[REVIEW])
        for _ in range(5):
            await world.budget.acquire(1, world.now)
        world.exchange.failing["bernd@example.com"] = ExchangeBusy("ErrorServerBusy", "Busy.")
        await world.read(anna, bernd)
        assert set(await world.notes()) == {anna}
        assert world.queues.users_of("sync") == [bernd]


async def test_no_more_are_read_at_once_than_the_budget_grants(world: World) -> None:
    guids = await world.add(*"0123456789")
    together = asyncio.Event()

    async def wait_for_the_others(_: str) -> None:
        if world.exchange.under_way == 4:
            together.set()
        await asyncio.wait_for(together.wait(), 60)

    world.exchange.before_answer = wait_for_the_others
    await world.read(*guids)
    assert world.exchange.most_under_way == 4
    assert world.exchange.count("read") == 10


async def test_where_all_slots_are_taken_everybody_is_asked_for_later(world: World) -> None:
    guids = await world.add(*"abc")
    for _ in range(8):
        await world.budget.acquire(1, world.now)
    await world.read(*guids)
    assert world.exchange.asked == []
    (order,) = world.queues.take()
    assert (order.queue, list(order.users)) == ("sync", guids)
    assert timedelta(seconds=2) <= order.delay <= timedelta(seconds=4)


async def test_slots_come_back_also_where_the_state_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (anna,) = await world.add("anna")

    async def fail(*_: object) -> None:
        raise OSError("the storage is away")

    monkeypatch.setattr(world.users, "set_failure", fail)
    world.exchange.before_answer = fail
    with pytest.raises(OSError, match="the storage is away"):
        await world.read(anna)
    granted = await world.budget.acquire(8, world.now)
    assert isinstance(granted, Grant)
    assert len(granted.slots) == 6


class TestWhoIsNotRead:
    async def test_is_gone_or_inactive(self, world: World) -> None:
        (anna,) = await world.add("anna")
        await world.users.set_leaving(anna)
        await world.read(anna, "f" * 32)
        assert world.exchange.asked == []
        assert world.queues.take() == []

    async def test_has_no_mailbox(self, world: World) -> None:
        (anna,) = await world.add("anna")
        await world.users.set_mailbox(anna, MailboxState.NONE)
        await world.read(anna)
        assert world.exchange.asked == []


async def test_a_mark_is_removed_before_the_reading(world: World) -> None:
    """A change that comes during it must ask for another one."""
    (anna,) = await world.add("anna")
    await world.users.set_read_requested(anna, world.now)
    seen = []

    async def look(_: str) -> None:
        seen.append((await world.find(anna)).read_requested_at)

    world.exchange.before_answer = look
    await world.read(anna)
    assert seen == [None]


async def test_two_readers_of_one_calendar_end_with_the_newer(world: World) -> None:
    (anna,) = await world.add("anna", calendar=[REVIEW])

    async def read_meanwhile(_: str) -> None:
        world.exchange.before_answer = None
        world.exchange.calendars["anna@example.com"] = [replace(REVIEW, subject="Changed")]
        await world.read(anna)

    world.exchange.before_answer = read_meanwhile
    await world.read(anna)
    assert world.exchange.count("read") == 3, "the first one's answer was old and is read again"
    agenda = await world.agendas.get(anna)
    assert agenda is not None
    assert [appointment.subject for appointment in agenda.appointments] == ["Changed"]
    assert "Changed" in (await world.notes())[anna]


async def test_whose_calendar_is_always_being_read_is_asked_for_later(world: World) -> None:
    (anna,) = await world.add("anna", calendar=[REVIEW])

    async def remove_and_add(_: str) -> None:
        await world.agendas.remove(anna)
        world.exchange.before_answer = None
        await world.read(anna)
        world.exchange.before_answer = remove_and_add

    world.exchange.before_answer = remove_and_add
    await world.read(anna)
    assert Order("sync", (anna,), "test", timedelta(seconds=5)) in world.queues.take()
    assert (await world.find(anna)).failure is None


class TestWhoLeavesMeanwhile:
    async def leave(self, world: World, guid: str) -> None:
        world.exchange.before_answer = None
        await world.farewell.leave(guid)

    async def test_during_the_first_reading_leaves_nothing_behind(self, world: World) -> None:
        (anna,) = await world.add("anna", calendar=[REVIEW])
        world.exchange.before_answer = lambda _: self.leave(world, anna)
        await world.read(anna)
        assert await world.agendas.get(anna) is None
        assert await world.notes() == {}
        assert not await world.outbox.waits()

    async def test_during_a_later_one_is_cleared(self, world: World) -> None:
        (anna,) = await world.add("anna", calendar=[REVIEW])
        await world.read(anna)
        await world.notes()
        world.exchange.calendars["anna@example.com"] = [replace(REVIEW, subject="Changed")]
        world.exchange.before_answer = lambda _: self.leave(world, anna)
        await world.read(anna)
        assert await world.agendas.get(anna) is None
        assert await world.notes() == {anna: ""}
        assert not await world.outbox.waits()

    @pytest.mark.parametrize("times", [1, 2])
    async def test_between_agenda_and_outbox_is_cleared(
        self, world: World, monkeypatch: pytest.MonkeyPatch, times: int
    ) -> None:
        (anna,) = await world.add("anna", calendar=[REVIEW])
        for number in range(1, times):
            world.exchange.calendars["anna@example.com"] = [replace(REVIEW, subject=f"{number}")]
            await world.read(anna)
        put = world.outbox.put

        async def leave_first(*arguments: object) -> bool:
            monkeypatch.undo()
            await world.farewell.leave(anna)
            return await put(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(world.outbox, "put", leave_first)
        world.exchange.calendars["anna@example.com"] = [REVIEW]
        await world.read(anna)
        assert await world.agendas.get(anna) is None
        assert await world.notes() == {}
        assert not await world.outbox.waits()

    async def test_who_is_renamed_meanwhile_is_presented_under_the_new_name(self, world: World) -> None:
        (anna,) = await world.add("anna", calendar=[REVIEW])

        async def rename(_: str) -> None:
            world.exchange.before_answer = None
            user = replace((await world.find(anna)).user, sip="anna.new")
            await world.users.update(user, (), resolve_again=False)
            await world.read(anna)

        world.exchange.before_answer = rename
        await world.read(anna)
        await world.notes()
        assert {assignment.sip for assignment in world.pbx.told} == {"anna.new"}


async def test_a_boundary_passed_while_presenting_is_presented_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick of that minute may have seen the former agenda."""
    world.now = REVIEW.start - MINUTE
    (anna,) = await world.add("anna", calendar=[REVIEW])
    save = world.agendas.save

    async def save_slowly(*arguments: object) -> object:
        world.now = REVIEW.start
        return await save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.agendas, "save", save_slowly)
    await world.read(anna)
    assert (await world.notes())[anna].startswith("Review until 11:00")
    assert [due.guid for due in await world.due.due(REVIEW.end, 10)].count(anna) == 2


async def test_a_boundary_that_another_clock_has_passed_is_presented_by_the_next_tick(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tick sees the former agenda and takes the hint away; what is stored then counts as newer."""
    world.now = REVIEW.start - 3 * timedelta(seconds=1)
    (anna,) = await world.add("anna", calendar=[REVIEW])
    await world.read(anna)
    save = world.agendas.save

    async def tick_first(*arguments: object) -> object:
        monkeypatch.undo()
        behind, world.now = world.now, REVIEW.start
        await world.ticker.tick(world.rules)
        world.now = behind
        return await save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.agendas, "save", tick_first)
    await world.read(anna)
    assert (await world.notes())[anna].startswith("Free until")
    world.now = REVIEW.start + MINUTE
    await world.ticker.tick(world.rules)
    assert (await world.notes())[anna].startswith("Review until 11:00")


class TestWhoseMailboxIsAnotherMeanwhile:
    """The directory found other addresses while the former mailbox was being read."""

    async def move(self, world: World, guid: str) -> None:
        world.exchange.before_answer = None
        world.exchange.calendars.clear()
        user = (await world.find(guid)).user
        await world.users.update(user, ("nobody@example.com",), resolve_again=True)
        await world.subscriber.subscribe([guid], "test")

    @pytest.mark.parametrize("times", [1, 2])
    async def test_and_nobodys_is_cleared_and_not_read(self, world: World, times: int) -> None:
        (anna,) = await world.add("anna", calendar=[REVIEW])
        for number in range(1, times):
            world.exchange.calendars["anna@example.com"] = [replace(REVIEW, subject=f"{number}")]
            await world.read(anna)
            await world.notes()
        world.exchange.before_answer = lambda _: self.move(world, anna)
        await world.read(anna)
        assert await world.agendas.get(anna) is None
        assert set((await world.notes()).values()) <= {""}
        assert ("read", "") not in world.exchange.asked
