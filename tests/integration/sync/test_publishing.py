"""What waits comes to the PBX: by one publisher at a time, and whatever happens in between."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import PbxLoginRefused, PbxUnavailable, PresenceRefused, WrongPbx
from shared.model import Activity, Presence
from shared.sync import publishing
from shared.sync.interfaces import Trouble
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, guid_of

pytestmark = pytest.mark.integration

ANNA, BERND = guid_of("anna"), guid_of("bernd")
SECOND = timedelta(seconds=1)


async def want(world: World, guid: str, note: str, order: str = "1") -> None:
    await world.outbox.put(guid, f"user {guid[0]}", order, Presence(Activity.BUSY, note, world.now + HOUR))


async def test_all_that_waits_is_told_in_one_session(world: World) -> None:
    await want(world, ANNA, "Anna is busy")
    await want(world, BERND, "Bernd is busy")
    assert (await world.publisher.publish()).presences == 2
    assert world.pbx.presences == {ANNA: ("busy", "Anna is busy"), BERND: ("busy", "Bernd is busy")}
    assert {assignment.sip for assignment in world.pbx.told} == {"user a", "user b"}
    assert (world.pbx.connections, world.pbx.open) == (1, 0)
    assert not await world.outbox.waits()


async def test_where_nothing_waits_the_pbx_is_left_alone(world: World) -> None:
    assert (await world.publisher.publish()).presences == 0
    assert world.pbx.connections == 0


async def test_only_where_something_waits_is_looked(world: World) -> None:
    await want(world, ANNA, "Anna is busy")
    await want(world, BERND, "Bernd is busy")
    assert (await world.publisher.publish([BERND])).presences == 1
    assert set(world.pbx.presences) == {BERND}
    assert (await world.publisher.publish([ANNA, BERND])).presences == 1


async def test_what_comes_while_it_works_is_told_too(world: World) -> None:
    await want(world, ANNA, "first")

    async def change_mind() -> None:
        world.pbx.before_answer = None
        await want(world, ANNA, "second", "2")
        await want(world, BERND, "Bernd is busy")

    world.pbx.before_answer = change_mind
    await world.publisher.publish()
    assert world.pbx.told[0].note == "first"
    assert world.pbx.presences == {ANNA: ("busy", "second"), BERND: ("busy", "Bernd is busy")}
    assert world.pbx.connections == 1
    assert not await world.outbox.waits()


async def test_who_is_gone_from_the_pbx_is_forgotten_after_a_while(world: World) -> None:
    await want(world, ANNA, "first")
    await world.publisher.publish()
    await world.outbox.withdraw(ANNA)
    world.pbx.refusing[ANNA] = PresenceRefused(5, "No such user.")
    for _ in range(6):
        await world.publisher.publish()
        assert await world.outbox.waits()
        world.now += 15 * 60 * SECOND
    await world.publisher.publish()
    assert not await world.outbox.waits()
    assert await world.outbox.published(ANNA) is None


async def test_many_pages_go_through_one_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PAGE", 16)
    for digit in "01234":
        await want(world, "a" + digit * 31, digit)
    assert (await world.publisher.publish()).presences == 5
    assert world.pbx.connections == 1


class TestOneAtATime:
    async def test_what_others_want_meanwhile_is_asked_for_once_and_at_once(self, world: World) -> None:
        await want(world, ANNA, "Anna is busy")

        async def publish_too() -> None:
            world.pbx.before_answer = None
            for _ in range(3):
                await want(world, BERND, "Bernd is busy")
                assert (await world.publisher.publish([BERND])).presences == 0
            # Only in case this one is killed: when its turn is over.
            (order,) = world.queues.take()
            assert (order.queue, order.users, order.delay) == ("publish", (), 121 * SECOND)

        world.pbx.before_answer = publish_too
        assert (await world.publisher.publish([ANNA])).presences == 1
        assert world.queues.take() == [Order("publish", (), "wanted meanwhile")]
        assert (await world.publisher.publish()).presences == 1
        assert world.queues.take() == []

    async def test_what_waits_behind_a_killed_one_is_asked_for_once(self, world: World) -> None:
        await want(world, ANNA, "Anna is busy")
        assert await world.leases.acquire("publisher", world.now, 2 * MINUTE)
        for _ in range(100):
            await world.publisher.publish([ANNA])
            world.now += SECOND
        (order,) = world.queues.take()
        world.now += order.delay - 100 * SECOND
        assert (await world.publisher.publish(order.users)).presences == 1
        assert world.queues.take() == []

    async def test_the_next_may_begin_at_once(self, world: World) -> None:
        for number in range(3):
            await want(world, ANNA, f"{number}", f"{number}")
            assert (await world.publisher.publish()).presences == 1
            # Half of the lease's time is over when the publisher looks the next time.
            world.now += 20 * SECOND

    async def test_a_long_one_keeps_its_turn(self, world: World) -> None:
        await want(world, ANNA, "0", "0")

        async def take_time() -> None:
            world.now += 40 * SECOND
            number = len(world.pbx.told)
            if number < 4:
                await want(world, ANNA, f"{number}", f"{number}")
            assert await world.leases.acquire("publisher", world.now, MINUTE) is None

        world.pbx.before_answer = take_time
        await world.publisher.publish()
        assert [assignment.note for assignment in world.pbx.told] == ["0", "1", "2", "3"]
        assert await world.leases.acquire("publisher", world.now, MINUTE), "it was given back"

    async def test_one_page_that_takes_long_keeps_its_turn(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Users for whom a PBX does not answer take ten seconds each."""
        monkeypatch.setattr(publishing, "_LOOK_EVERY", 0.001)
        await want(world, ANNA, "0")

        async def take_long() -> None:
            for _ in range(4):
                world.now += 70 * SECOND
                held = await world.storage.table("leases").get("lease", "publisher")
                async with asyncio.timeout(60):
                    while await world.storage.table("leases").get("lease", "publisher") == held:  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
                assert await world.leases.acquire("publisher", world.now, MINUTE) is None

        world.pbx.before_answer = take_long
        await world.publisher.publish()
        assert [assignment.note for assignment in world.pbx.told] == ["0"]

    async def test_who_lost_the_turn_stops(self, world: World) -> None:
        await want(world, ANNA, "first")

        async def sleep_long() -> None:
            world.now += 2 * MINUTE
            assert await world.leases.acquire("publisher", world.now, MINUTE)
            await want(world, ANNA, "second", "2")

        world.pbx.before_answer = sleep_long
        await world.publisher.publish()
        assert [assignment.note for assignment in world.pbx.told] == ["first"]
        assert await world.outbox.waits()
        assert await world.leases.acquire("publisher", world.now, MINUTE) is None, "the other one's"


class TestConnectionLost:
    async def test_in_the_middle_of_a_page_the_rest_is_told_by_another(self, world: World) -> None:
        for name in "abcdef":
            await want(world, guid_of(name), name)
        world.pbx.lost_after = 3
        await world.publisher.publish()
        assert sorted(assignment.note for assignment in world.pbx.told) == list("abcdef"), "each once"
        assert (world.pbx.connections, world.pbx.open) == (2, 0)
        assert not await world.outbox.waits()
        assert await world.health.trouble("pbx") is None

    async def test_killed_before_it_was_stored_is_told_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await want(world, ANNA, "Anna is busy")

        async def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(world.outbox, "acknowledge", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.publisher.publish()
        monkeypatch.undo()
        assert (await world.publisher.publish()).presences == 1
        assert [assignment.note for assignment in world.pbx.told] == ["Anna is busy"] * 2


class TestRefused:
    REFUSED = PresenceRefused(7, "The PBX answered error 7: no.")

    async def test_is_tried_again_alone_and_the_others_are_told(self, world: World) -> None:
        await want(world, ANNA, "Anna is busy")
        await want(world, BERND, "Bernd is busy")
        world.pbx.refusing[ANNA] = self.REFUSED
        assert (await world.publisher.publish()).presences == 1
        assert world.pbx.presences == {BERND: ("busy", "Bernd is busy")}
        assert world.queues.take() == [Order("publish", (ANNA,), "refused", MINUTE)]
        published = await world.outbox.published(ANNA)
        assert published is not None
        assert published.error == "The PBX answered error 7: no."
        assert await world.health.trouble("pbx") is None

        assert (await world.publisher.publish()).presences == 0
        assert world.pbx.connections == 1, "not before its time"
        world.now += MINUTE
        assert (await world.publisher.publish([ANNA])).presences == 0
        assert world.queues.take() == [Order("publish", (ANNA,), "refused", 2 * MINUTE)]
        world.now += 2 * MINUTE
        world.pbx.refusing.clear()
        assert (await world.publisher.publish([ANNA])).presences == 1
        assert world.pbx.presences[ANNA] == ("busy", "Anna is busy")


class TestPbxAway:
    AWAY = PbxUnavailable("Away.")

    async def test_is_trouble_and_what_waits_goes_on_waiting(self, world: World) -> None:
        await want(world, ANNA, "first")
        world.pbx.down = self.AWAY
        assert (await world.publisher.publish()).presences == 0
        assert world.pbx.connections == 4
        assert await world.health.trouble("pbx") == Trouble(
            "PbxUnavailable", "Away.", world.now, 1, world.now + 5 * SECOND
        )
        assert await world.outbox.waits()
        assert await world.leases.acquire("publisher", world.now, MINUTE), "the turn was given back"

    async def test_is_left_alone_and_tried_less_and_less_often(self, world: World) -> None:
        await want(world, ANNA, "first")
        world.pbx.down = self.AWAY
        began, pauses = world.now, []
        for _ in range(9):
            await world.publisher.publish()
            tried = world.pbx.connections
            trouble = await world.health.trouble("pbx")
            assert trouble is not None
            assert trouble.since == began
            pauses.append((trouble.retry_at - world.now).total_seconds())
            world.now = trouble.retry_at - SECOND
            await world.publisher.publish()
            assert world.pbx.connections == tried
            world.now = trouble.retry_at
        assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900]

    async def test_and_back_gets_the_last_state_only(self, world: World) -> None:
        world.pbx.down = self.AWAY
        for number in range(5):
            await want(world, ANNA, f"{number}", f"{number}")
            await world.publisher.publish()
        world.pbx.down = None
        world.now += HOUR
        assert (await world.publisher.publish()).presences == 1
        assert [assignment.note for assignment in world.pbx.told] == ["4"]
        assert await world.health.trouble("pbx") is None

    async def test_and_back_is_noticed_where_nothing_waits(self, world: World) -> None:
        trouble = Trouble("PbxUnavailable", "Away.", world.now, 1, world.now)
        await world.health.set_trouble("pbx", trouble)
        assert (await world.publisher.publish()).presences == 0
        assert world.pbx.connections == 1
        assert await world.health.trouble("pbx") is None

    async def test_and_still_away_where_nothing_waits_is_noticed_too(self, world: World) -> None:
        trouble = Trouble("PbxUnavailable", "Away.", world.now, 1, world.now)
        await world.health.set_trouble("pbx", trouble)
        world.pbx.down = self.AWAY
        await world.publisher.publish()
        after = await world.health.trouble("pbx")
        assert after is not None
        assert after.attempts == 2

    @pytest.mark.parametrize(
        "error", [PbxLoginRefused("pbx.password: refused."), WrongPbx("master", "other")]
    )
    async def test_refused_is_not_hammered(self, world: World, error: PbxUnavailable) -> None:
        await want(world, ANNA, "first")
        world.pbx.down = error
        for _ in range(3):
            await world.publisher.publish()
        assert world.pbx.connections == 1
        trouble = await world.health.trouble("pbx")
        assert trouble is not None
        assert (trouble.code, trouble.retry_at) == (type(error).__name__, world.now + 30 * SECOND)
        assert await world.outbox.waits()

    async def test_an_api_that_is_not_granted_is_named(self, world: World) -> None:
        """It shows only when a presence is set."""
        await want(world, ANNA, "first")
        world.pbx.refusing[ANNA] = PbxLoginRefused("PbxApi is not granted.")  # type: ignore[assignment]
        await world.publisher.publish()
        assert world.pbx.connections == 1
        trouble = await world.health.trouble("pbx")
        assert trouble is not None
        assert trouble.text == "PbxApi is not granted."


async def test_while_the_service_is_disabled_whatever_is_wanted_is_cleared(world: World) -> None:
    """A worker that had begun before wanted it, and was killed before it looked again."""
    await want(world, ANNA, "Anna is busy")
    await world.publisher.publish()
    await want(world, ANNA, "Anna is still busy", "2")
    await world.publisher.publish(ended=True)
    assert world.pbx.presences == {ANNA: ("", "")}
    assert not await world.outbox.waits()
