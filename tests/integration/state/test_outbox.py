"""What the PBX has still to be told: the latest wins, nothing is told twice, nothing is lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.errors import StateConflict
from shared.model import Activity, Presence
from shared.state.outbox import Outbox, Published
from shared.state.storage import Operation, Storage, Table
from shared.sync.interfaces import Pending, Wish

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ANNA, BERND = "a" * 32, "b" * 32

BUSY = Presence(Activity.BUSY, "Busy: Meeting", LATER)
AWAY = Presence(Activity.AWAY, "Away: Journey", LATER)
FREE = Presence(Activity.AVAILABLE, "Free", None)


@pytest.fixture
def outbox(storage: Storage) -> Outbox:
    return Outbox(storage)


class Orders:
    """Orders that rise."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self) -> str:
        self.last += 1
        return f"{self.last:012d}"


@pytest.fixture
def order() -> Orders:
    return Orders()


async def take(outbox: Outbox, now: datetime = NOW) -> list[Pending]:
    return await outbox.take(now, 1000)


async def publish(outbox: Outbox, now: datetime = NOW) -> list[tuple[str, str]]:
    """Tell the PBX everything and have it acknowledge; return who was told which note."""
    told = await take(outbox, now)
    await outbox.acknowledge(told, now)
    return sorted((pending.guid, pending.note) for pending in told)


async def test_a_presence_waits_until_it_is_acknowledged(outbox: Outbox, order: Orders) -> None:
    assert not await outbox.waits()
    assert await outbox.put(ANNA, "anna", order(), BUSY)
    assert await outbox.waits()
    (pending,) = await take(outbox)
    expected = Pending(ANNA, "anna", "busy", "Busy: Meeting", False, 0, None, pending.etag)
    assert pending == expected
    assert await outbox.waits()
    assert await outbox.published(ANNA) is None
    await outbox.acknowledge([pending], NOW)
    assert not await outbox.waits()
    assert await take(outbox) == []
    assert await outbox.published(ANNA) == Published(ANNA, "busy", "Busy: Meeting", NOW, "")


async def test_available_is_written_as_the_pbx_writes_it(outbox: Outbox, order: Orders) -> None:
    await outbox.put(ANNA, "anna", order(), replace(BUSY, activity=Activity.AVAILABLE))
    assert [pending.activity for pending in await take(outbox)] == [""]


async def test_the_same_presence_is_told_once(outbox: Outbox, order: Orders) -> None:
    await outbox.put(ANNA, "anna", order(), BUSY)
    assert await outbox.put(ANNA, "anna", order(), BUSY)
    assert await publish(outbox) == [(ANNA, BUSY.note)]
    assert not await outbox.put(ANNA, "anna", order(), BUSY)
    assert not await outbox.waits()


async def test_of_a_burst_the_latest_is_told(outbox: Outbox, order: Orders) -> None:
    for note in ("first", "second", "third"):
        assert await outbox.put(ANNA, "anna", order(), replace(BUSY, note=note))
    assert await publish(outbox) == [(ANNA, "third")]
    assert not await outbox.waits()


async def test_the_activity_alone_makes_a_difference(outbox: Outbox, order: Orders) -> None:
    await outbox.put(ANNA, "anna", order(), BUSY)
    await publish(outbox)
    assert await outbox.put(ANNA, "anna", order(), replace(BUSY, activity=Activity.DND))
    assert [pending.activity for pending in await take(outbox)] == ["dnd"]


async def test_an_earlier_one_never_wins(outbox: Outbox) -> None:
    await outbox.put(ANNA, "anna", "5", BUSY)
    assert await outbox.put(ANNA, "anna", "4", AWAY), "what waited goes on waiting"
    assert await publish(outbox) == [(ANNA, BUSY.note)]
    assert not await outbox.put(ANNA, "anna", "4", AWAY)
    assert not await outbox.waits()


async def test_an_earlier_one_does_not_win_against_a_later_one_that_changed_nothing(outbox: Outbox) -> None:
    await outbox.put(ANNA, "anna", "1", BUSY)
    await outbox.put(ANNA, "anna", "3", BUSY)
    await outbox.put(ANNA, "anna", "2", AWAY)
    assert await publish(outbox) == [(ANNA, BUSY.note)]
    await outbox.put(ANNA, "anna", "5", BUSY)
    assert not await outbox.put(ANNA, "anna", "4", AWAY)


async def test_an_earlier_one_does_not_win_against_a_free_that_was_not_sent(outbox: Outbox) -> None:
    assert not await outbox.put(ANNA, "anna", "2", FREE)
    assert not await outbox.put(ANNA, "anna", "1", BUSY)
    assert not await outbox.waits()


async def test_a_presence_of_the_same_order_wins(outbox: Outbox) -> None:
    await outbox.put(ANNA, "anna", "1", BUSY)
    await outbox.put(ANNA, "anna", "1", AWAY)
    assert await publish(outbox) == [(ANNA, AWAY.note)]


class TestBareFree:
    async def test_is_not_sent_to_who_never_had_a_presence(self, outbox: Outbox, order: Orders) -> None:
        for _ in range(2):
            assert not await outbox.put(ANNA, "anna", order(), FREE)
        assert not await outbox.waits()
        assert await outbox.published(ANNA) is None

    async def test_is_not_sent_to_whose_first_presence_was_over_before_it_was_sent(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        assert not await outbox.put(ANNA, "anna", order(), FREE)
        assert not await outbox.waits()
        assert await outbox.put(ANNA, "anna", order(), BUSY)
        assert await publish(outbox) == [(ANNA, BUSY.note)]

    async def test_is_sent_to_whose_first_presence_was_perhaps_sent(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await take(outbox)
        assert await outbox.put(ANNA, "anna", order(), FREE)
        assert await publish(outbox) == [(ANNA, "Free")]

    async def test_is_sent_to_who_had_a_presence(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        assert await outbox.put(ANNA, "anna", order(), FREE)
        assert await publish(outbox) == [(ANNA, "Free")]

    async def test_with_something_ahead_it_is_not_bare(self, outbox: Outbox, order: Orders) -> None:
        assert await outbox.put(ANNA, "anna", order(), replace(FREE, changes_at=LATER))


class TestThereAndBack:
    async def test_sends_nothing_while_the_other_only_waited(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        assert await outbox.put(ANNA, "anna", order(), AWAY)
        assert not await outbox.put(ANNA, "anna", order(), BUSY)
        assert not await outbox.waits()
        assert await take(outbox) == []

    async def test_sends_the_first_again_while_the_other_is_being_sent(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        being_sent = await take(outbox)
        assert await outbox.put(ANNA, "anna", order(), BUSY)
        await outbox.acknowledge(being_sent, NOW)
        assert await publish(outbox) == [(ANNA, BUSY.note)]
        assert not await outbox.waits()

    async def test_sends_the_first_again_where_the_sender_was_killed(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await take(outbox)
        assert await outbox.put(ANNA, "anna", order(), BUSY)
        assert await publish(outbox) == [(ANNA, BUSY.note)]


async def test_what_was_taken_and_not_acknowledged_is_taken_again(outbox: Outbox, order: Orders) -> None:
    await outbox.put(ANNA, "anna", order(), BUSY)
    await take(outbox)
    assert await publish(outbox) == [(ANNA, BUSY.note)]


class TestSuperseded:
    async def test_acknowledging_leaves_the_newer_one_waiting(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        taken = await take(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await outbox.acknowledge(taken, NOW)
        assert await outbox.published(ANNA) == Published(ANNA, "busy", BUSY.note, NOW, "")
        assert await publish(outbox) == [(ANNA, AWAY.note)]
        assert not await outbox.waits()

    async def test_others_of_the_same_page_are_settled(self, outbox: Outbox, order: Orders) -> None:
        other = "a" + "b" * 31
        await outbox.put(ANNA, "anna", order(), BUSY)
        await outbox.put(other, "other", order(), BUSY)
        taken = await take(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await outbox.acknowledge(taken, NOW)
        assert await publish(outbox) == [(ANNA, AWAY.note)]

    async def test_a_late_acknowledgement_has_the_present_one_sent_again(
        self, outbox: Outbox, order: Orders
    ) -> None:
        """Two told the PBX at once, so that nobody knows which came last."""
        await outbox.put(ANNA, "anna", order(), BUSY)
        late = await take(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await publish(outbox)
        await outbox.acknowledge(late, NOW)
        assert await publish(outbox) == [(ANNA, AWAY.note)]

    async def test_it_does_not_make_forget_that_the_newer_one_is_being_sent(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        late = await take(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await take(outbox)  # Told, and killed before it was acknowledged.
        await outbox.acknowledge(late, NOW)
        await outbox.put(ANNA, "anna", order(), BUSY)
        assert await publish(outbox) == [(ANNA, BUSY.note)]

    async def test_acknowledging_twice_is_once(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        taken = await take(outbox)
        await outbox.acknowledge(taken, NOW)
        await outbox.acknowledge(taken, NOW)
        assert not await outbox.waits()

    async def test_acknowledging_for_who_is_forgotten_does_nothing(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        first = await take(outbox)
        await outbox.withdraw(ANNA)
        assert await publish(outbox) == [(ANNA, "")]
        await outbox.acknowledge(first, NOW)
        assert not await outbox.waits()
        assert await outbox.published(ANNA) is None


class TestRefused:
    async def test_is_tried_again_alone_after_its_time(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await outbox.put(BERND, "bernd", order(), BUSY)
        (anna, bernd) = await take(outbox)
        await outbox.acknowledge([bernd], NOW)
        await outbox.refuse(anna, "The PBX answered error 1: no.", LATER)
        assert await outbox.published(ANNA) == Published(ANNA, "", "", None, "The PBX answered error 1: no.")
        assert await outbox.waits()
        assert await take(outbox, LATER - timedelta(seconds=1)) == []
        (again,) = await take(outbox, LATER)
        assert (again.guid, again.attempts, again.not_before) == (ANNA, 1, LATER)
        await outbox.acknowledge([again], LATER)
        assert await outbox.published(ANNA) == Published(ANNA, "busy", BUSY.note, LATER, "")

    async def test_does_not_keep_back_those_behind_it(self, outbox: Outbox, order: Orders) -> None:
        for digit in "0123":
            await outbox.put("a" + digit * 31, "user", order(), BUSY)
        refused = await outbox.take(NOW, 32)
        assert len(refused) == 2, "an even share for each of the 16 partitions"
        for pending in refused:
            await outbox.refuse(pending, "no", LATER)
        assert [pending.guid[1] for pending in await outbox.take(NOW, 32)] == ["2", "3"]

    async def test_what_is_newer_does_not_wait(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        (pending,) = await take(outbox)
        await outbox.refuse(pending, "no", LATER)
        await outbox.put(ANNA, "anna", order(), AWAY)
        (newer,) = await take(outbox)
        assert (newer.note, newer.attempts, newer.not_before) == (AWAY.note, 0, None)

    async def test_a_refusal_of_what_is_superseded_says_nothing(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        (pending,) = await take(outbox)
        await outbox.put(ANNA, "anna", order(), AWAY)
        await outbox.refuse(pending, "no", LATER)
        assert await publish(outbox) == [(ANNA, AWAY.note)]


class TestWithdraw:
    async def test_who_had_a_presence_is_cleared_and_then_forgotten(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        assert await outbox.withdraw(ANNA)
        (pending,) = await take(outbox)
        assert (pending.sip, pending.activity, pending.note, pending.leaving) == ("anna", "", "", True)
        await outbox.acknowledge([pending], NOW)
        assert not await outbox.waits()
        assert not await outbox.withdraw(ANNA)
        assert not await outbox.put(ANNA, "anna", order(), FREE), "nothing is remembered"

    async def test_who_never_had_one_is_forgotten_at_once(self, outbox: Outbox, order: Orders) -> None:
        assert not await outbox.withdraw(ANNA)
        await outbox.put(ANNA, "anna", order(), FREE)
        assert not await outbox.withdraw(ANNA)
        await outbox.put(ANNA, "anna", order(), BUSY)
        assert not await outbox.withdraw(ANNA)
        assert not await outbox.waits()
        assert not await outbox.put(ANNA, "anna", order(), FREE)

    async def test_whose_first_presence_is_being_sent_is_cleared(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        taken = await take(outbox)
        assert await outbox.withdraw(ANNA)
        await outbox.acknowledge(taken, NOW)
        assert await publish(outbox) == [(ANNA, "")]
        assert not await outbox.waits()

    async def test_twice_is_once(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        assert await outbox.withdraw(ANNA)
        assert await outbox.withdraw(ANNA)
        assert await publish(outbox) == [(ANNA, "")]

    async def test_a_refused_clearing_is_tried_again(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.withdraw(ANNA)
        (pending,) = await take(outbox)
        await outbox.refuse(pending, "no", LATER)
        assert await publish(outbox, NOW) == []
        assert await publish(outbox, LATER) == [(ANNA, "")]
        assert await outbox.published(ANNA) is None

    @pytest.mark.parametrize("presence", [BUSY, AWAY, FREE])
    async def test_who_returns_before_being_cleared_keeps_what_is_wanted_now(
        self, outbox: Outbox, order: Orders, presence: Presence
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.withdraw(ANNA)
        # The agenda of a returned user counts its versions from the beginning.
        waits = await outbox.put(ANNA, "anna", "0", presence)
        # Whoever wanted this is to look whether the user has left meanwhile, as where something waits.
        assert waits
        assert await publish(outbox) == ([] if presence is BUSY else [(ANNA, presence.note)])
        assert await outbox.published(ANNA)

    async def test_who_returns_while_being_cleared_gets_the_presence_again(
        self, outbox: Outbox, order: Orders
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.withdraw(ANNA)
        clearing = await take(outbox)
        assert await outbox.put(ANNA, "anna", "0", BUSY)
        await outbox.acknowledge(clearing, NOW)
        assert await publish(outbox) == [(ANNA, BUSY.note)]
        assert await outbox.published(ANNA)


async def test_a_whole_company_in_one_partition(outbox: Outbox, order: Orders) -> None:
    """More users than one transaction takes."""
    guids = sorted("a" + uuid4().hex[1:] for _ in range(60))
    await asyncio.gather(*(outbox.put(guid, "user", order(), BUSY) for guid in guids))
    taken = await outbox.take(NOW, 16 * 1000)
    assert [pending.guid for pending in taken] == guids
    await outbox.put(guids[7], "user", order(), AWAY)
    await outbox.put(guids[57], "user", order(), AWAY)
    await outbox.acknowledge(taken, NOW)
    assert await publish(outbox) == [(guids[7], AWAY.note), (guids[57], AWAY.note)]


async def test_what_is_changed_while_it_is_taken_is_left_for_the_next_time(
    outbox: Outbox, order: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "a" + "b" * 31
    for guid in (ANNA, other):
        await outbox.put(guid, "user", order(), BUSY)
    mark = outbox._mark_sending

    async def change_first(found: list[Pending]) -> list[Pending]:
        monkeypatch.undo()
        await outbox.put(ANNA, "user", order(), AWAY)
        return await mark(found)

    monkeypatch.setattr(outbox, "_mark_sending", change_first)
    assert [pending.guid for pending in await take(outbox)] == [other]
    assert {pending.guid: pending.note for pending in await take(outbox)}[ANNA] == AWAY.note


async def test_who_never_gets_through_says_so(
    outbox: Outbox, order: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outbox.put(ANNA, "anna", order(), BUSY)
    taken = await take(outbox)

    async def conflict(*_: object) -> None:
        raise StateConflict("changed")

    monkeypatch.setattr(outbox._table, "transact", conflict)
    for action in (
        outbox.put(ANNA, "anna", order(), AWAY),
        outbox.withdraw(ANNA),
        outbox.acknowledge(taken, NOW),
    ):
        with pytest.raises(StateConflict, match="Too many writers"):
            await action


class TestMany:
    async def test_each_gets_what_a_wish_alone_would_give(self, outbox: Outbox, order: Orders) -> None:
        """Whoever is new, known, leaving, waiting or has it already: together as one by one."""
        alone, together = (
            [f"{first}{kind}{number:030}" for number in range(30) for first in "06ac"] for kind in "01"
        )
        pairs = list(enumerate(zip(alone, together, strict=True)))
        for number, pair in pairs:
            for guid in pair:
                if number % 2:
                    await outbox.put(guid, "sip", order(), BUSY)
        await publish(outbox)
        for number, pair in pairs:
            for guid in pair:
                if number % 3 == 0:
                    await outbox.put(guid, "sip", order(), AWAY)
                if number % 8 == 1:
                    await outbox.withdraw(guid)
        wanted = {number: (BUSY, AWAY, FREE)[number % 5 % 3] for number in range(120)}
        late = order()
        each = [await outbox.put(guid, "sip", late, wanted[number]) for number, guid in enumerate(alone)]
        waiting = await outbox.put_all(
            Wish(guid, "sip", late, wanted[number]) for number, guid in enumerate(together)
        )
        assert [guid in waiting for guid in together] == each
        told = dict(await publish(outbox))
        assert [told.get(guid) for guid in together] == [told.get(guid) for guid in alone]

    async def test_one_who_was_changed_meanwhile_keeps_nobody_from_theirs(
        self, outbox: Outbox, order: Orders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guids = [f"a{number:031}" for number in range(10)]
        early, late, latest = order(), order(), order()
        await outbox.put_all(Wish(guid, "sip", early, BUSY) for guid in guids)
        transact = Table.transact

        async def change_one_first(table: Table, steps: Sequence[Operation]) -> object:
            monkeypatch.undo()
            await outbox.put(guids[3], "sip", latest, FREE)
            return await transact(table, steps)

        monkeypatch.setattr(Table, "transact", change_one_first)
        await outbox.put_all(Wish(guid, "sip", late, AWAY) for guid in guids)
        notes = dict(await publish(outbox))
        assert notes == {guid: AWAY.note for guid in guids if guid != guids[3]} | (
            {guids[3]: FREE.note} if guids[3] in notes else {}
        )

    async def test_nobody_is_wished_for(self, outbox: Outbox) -> None:
        assert await outbox.put_all([]) == set()


class TestAnotherPbx:
    async def test_is_told_what_the_former_one_was_told_and_has_still_to_be_told(
        self, outbox: Outbox, order: Orders
    ) -> None:
        told, waiting, sending, free = (f"a{number:031}" for number in range(4))
        await outbox.put(told, "told", order(), BUSY)
        await publish(outbox)
        await outbox.put(sending, "sending", order(), BUSY)
        assert len(await take(outbox)) == 1
        await outbox.put(waiting, "waiting", order(), AWAY)
        await outbox.put(free, "free", order(), FREE)
        assert await outbox.doubt("a") in (told, sending, waiting)
        assert await outbox.doubt("b") == ""
        assert dict(await publish(outbox)) == {told: BUSY.note, sending: BUSY.note, waiting: AWAY.note}
        assert not await outbox.waits()

    async def test_is_told_nothing_of_who_left(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.withdraw(ANNA)
        assert await outbox.doubt(ANNA[0]) == ""
        assert not await outbox.waits()
        assert not await outbox.withdraw(ANNA)

    async def test_is_told_also_what_is_not_wanted_to_differ(self, outbox: Outbox, order: Orders) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        await outbox.doubt(ANNA[0])
        assert await outbox.put(ANNA, "anna", order(), BUSY)
        assert await publish(outbox) == [(ANNA, BUSY.note)]

    async def test_is_told_the_newer_one_that_comes_in_between(
        self, outbox: Outbox, order: Orders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await outbox.put(ANNA, "anna", order(), BUSY)
        await publish(outbox)
        transact = Table.transact
        newer = order()

        async def change_first(table: Table, steps: Sequence[Operation]) -> object:
            monkeypatch.undo()
            await outbox.put(ANNA, "anna", newer, AWAY)
            return await transact(table, steps)

        monkeypatch.setattr(Table, "transact", change_first)
        assert await outbox.doubt(ANNA[0]) == ANNA
        assert await publish(outbox) == [(ANNA, AWAY.note)]


async def test_who_withdraws_again_does_not_have_it_told_again(outbox: Outbox, order: Orders) -> None:
    await outbox.put(ANNA, "anna", order(), BUSY)
    await publish(outbox)
    await outbox.withdraw(ANNA)
    taken = await take(outbox)
    assert await outbox.withdraw(ANNA)
    await outbox.acknowledge(taken, NOW)
    assert not await outbox.waits()


async def test_in_place_of_a_withdrawal_something_is_said_to_wait(outbox: Outbox, order: Orders) -> None:
    """So that who presents looks whether the user has left."""
    await outbox.put(ANNA, "anna", order(), BUSY)
    await publish(outbox)
    await outbox.withdraw(ANNA)
    assert await outbox.put(ANNA, "anna", order(), BUSY)
