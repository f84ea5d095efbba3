"""The stored users follow the PBX's."""

from dataclasses import replace

import pytest

from shared.errors import PbxLoginRefused, PbxUnavailable, WrongPbx
from shared.model import MailboxState, User
from shared.pbx.protocol import TableRow
from shared.settings import PbxSettings, Scope
from shared.sync.directory import Changes, is_overdue
from shared.sync.interfaces import Heartbeat, Trouble
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import HOUR, MINUTE, World, appoint, guid_of, person

pytestmark = pytest.mark.integration

ANNA, BERND, CARLA = guid_of("anna"), guid_of("bernd"), guid_of("carla")


async def replicate(world: World, *users: User) -> Changes | None:
    if users:
        world.pbx.list_users(*users)
    return await world.directory.run()


async def known(world: World) -> list[str]:
    return [user.user.sip async for user in world.users.everybody()]


async def test_new_users_are_stored_and_subscribed(world: World) -> None:
    assert await replicate(world, person("anna"), person("bernd")) == Changes(2, 0, 0)
    assert await known(world) == ["anna", "bernd"]
    assert world.queues.take() == [Order("subscribe", (ANNA, BERND), "directory")]
    found = await world.find(ANNA)
    assert found.candidates == ("anna@example.com", "anna@pbx.example.com")


async def test_without_the_admin_api_the_configured_domain_is_used(world: World) -> None:
    world.pbx.identity = None
    world.directory_settings = PbxSettings(domain="configured.example.com")
    await replicate(world, person("anna"))
    assert (await world.find(ANNA)).candidates[-1] == "anna@configured.example.com"


async def test_what_is_unchanged_asks_for_nothing(world: World) -> None:
    await replicate(world, person("anna"))
    world.queues.take()
    assert await replicate(world) == Changes(0, 0, 0)
    assert world.queues.take() == []


async def test_another_name_changes_the_record_only(world: World) -> None:
    await replicate(world, person("anna"))
    await world.users.set_mailbox(ANNA, MailboxState.FOUND, "anna@example.com")
    world.queues.take()
    married = person("anna", common_name="Anna Schmidt", groups=("sales",))
    assert await replicate(world, married) == Changes(0, 1, 0)
    found = await world.find(ANNA)
    assert (found.user, found.mailbox) == (married, "anna@example.com")
    assert world.queues.take() == []


async def test_other_addresses_are_resolved_anew(world: World) -> None:
    await world.add("anna")
    await replicate(world, person("anna", emails=("new@example.com",)))
    found = await world.find(ANNA)
    assert (found.mailbox, found.mailbox_state) == ("", MailboxState.UNRESOLVED)
    assert found.subscription is None
    assert world.queues.take() == [Order("subscribe", (ANNA,), "directory")]


async def test_a_renamed_user_with_the_same_addresses_is_read_again(world: World) -> None:
    """SetPresence needs the new user name."""
    world.pbx.identity = None
    world.directory_settings = PbxSettings()
    await replicate(world, person("anna"))
    world.queues.take()
    await replicate(world, replace(person("anna"), sip="anna.new"))
    assert world.queues.take() == [Order("sync", (ANNA,), "directory")]


class TestRemoved:
    @pytest.fixture(autouse=True)
    async def presented(self, world: World) -> None:
        await world.add("anna", "bernd", calendar=[appoint("08:30", "10:00", "Review")])
        await world.read(ANNA, BERND)
        await world.notes()
        world.queues.take()

    async def test_presence_is_cleared_and_data_deleted(self, world: World) -> None:
        assert await replicate(world, person("bernd", emails=("bernd@example.com",))) == Changes(0, 1, 1)
        assert await known(world) == ["bernd"]
        assert await world.agendas.get(ANNA) is None
        assert Order("publish", (), "directory") in world.queues.take()
        notes = await world.notes()
        assert notes[ANNA] == ""
        assert notes[BERND] != ""
        for name in ("users", "agendas", "outbox"):
            rows = world.storage.table(name).query("PartitionKey eq 'a'")
            assert [row async for row in rows] == []

    async def test_by_a_push_during_the_replication(self, world: World) -> None:
        world.pbx.list_users(person("anna"), person("bernd"))
        world.pbx.rows.append(TableRow(ANNA, None))
        await replicate(world)
        assert await known(world) == ["bernd"]

    async def test_half_way_is_finished_by_the_next(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def killed(_: str) -> None:
            raise OSError("killed")

        world.pbx.list_users(person("bernd"))
        monkeypatch.setattr(world.users, "remove", killed)
        with pytest.raises(OSError, match="killed"):
            await replicate(world)
        assert not (await world.find(ANNA)).is_active
        monkeypatch.undo()
        await replicate(world)
        assert await known(world) == ["bernd"]
        assert (await world.notes())[ANNA] == ""

    async def test_who_returns_begins_anew(self, world: World) -> None:
        await replicate(world, person("bernd"))
        assert (await world.notes())[ANNA] == ""
        world.queues.take()
        assert await replicate(world, person("anna"), person("bernd")) == Changes(1, 0, 0)
        assert world.queues.users_of("subscribe") == [ANNA]
        await world.subscriber.subscribe([ANNA], "test")
        await world.read(ANNA)
        assert (await world.notes())[ANNA].startswith("Review")

    async def test_who_returns_while_half_gone_is_read_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def killed(_: str) -> None:
            raise OSError("killed")

        world.pbx.list_users(person("bernd"))
        monkeypatch.setattr(world.users, "remove", killed)
        with pytest.raises(OSError, match="killed"):
            await replicate(world)
        monkeypatch.undo()
        world.queues.take()
        await replicate(world, person("anna"), person("bernd"))
        assert world.queues.users_of("subscribe") == [ANNA]
        await world.subscriber.subscribe([ANNA], "test")
        assert ANNA in world.queues.users_of("sync")
        await world.read(ANNA)
        assert (await world.notes())[ANNA].startswith("Review")

    @pytest.mark.parametrize("rows", [0, 1])
    async def test_not_by_a_replication_that_broke_off(self, world: World, rows: int) -> None:
        world.pbx.list_users(person("carla"), person("bernd"))
        world.pbx.broken_after = rows
        assert await replicate(world) is None
        assert await known(world) == ["anna", "bernd"]
        beat = await world.health.heartbeat("directory")
        assert beat is not None
        assert beat.error == "The PBX closed the connection."

    async def test_not_by_an_empty_listing(self, world: World) -> None:
        world.pbx.rows = []
        assert await replicate(world) is None
        assert await known(world) == ["anna", "bernd"]
        trouble = await world.health.trouble("pbx")
        assert trouble is not None
        assert "listed no users at all" in trouble.text


async def test_an_empty_pbx_is_no_trouble_where_nobody_is_stored(world: World) -> None:
    assert await replicate(world) == Changes(0, 0, 0)


class TestScope:
    PEOPLE = (
        person("anna", apps=("calendar", "fax")),
        person("bernd", groups=("sales", "all")),
        person("carla", groups=("support",), apps=("fax",)),
    )

    @pytest.mark.parametrize(
        ("settings", "chosen"),
        [
            (PbxSettings(), ["anna", "bernd", "carla"]),
            (PbxSettings(scope=Scope.APP, scope_app="calendar"), ["anna"]),
            (PbxSettings(scope=Scope.GROUPS, scope_groups=("all", "support")), ["bernd", "carla"]),
            (PbxSettings(scope=Scope.GROUPS, scope_groups=("nobody",)), []),
        ],
    )
    async def test_decides_who_is_stored(
        self, world: World, settings: PbxSettings, chosen: list[str]
    ) -> None:
        world.directory_settings = settings
        await replicate(world, *self.PEOPLE)
        assert await known(world) == chosen

    async def test_who_leaves_it_is_forgotten(self, world: World) -> None:
        world.directory_settings = PbxSettings(scope=Scope.GROUPS, scope_groups=("sales",))
        await replicate(world, *self.PEOPLE)
        assert await replicate(world, replace(self.PEOPLE[1], groups=()), person("carla")) == Changes(0, 0, 1)
        assert await known(world) == []


async def test_an_excluded_user_is_kept_and_not_worked_on(world: World) -> None:
    await world.add("anna")
    keys = {"PartitionKey": ANNA[0], "RowKey": ANNA}
    await world.storage.table("users").merge(keys | {"excluded": True})
    await replicate(world, person("anna", emails=("new@example.com",)))
    found = await world.find(ANNA)
    assert (found.excluded, found.user.emails) == (True, ("new@example.com",))
    assert world.queues.take() == []
    await world.subscriber.subscribe([ANNA], "test")
    await world.read(ANNA)
    assert world.exchange.asked == []


async def test_one_replicates_at_a_time(world: World) -> None:
    lease = await world.leases.acquire("directory", world.now, HOUR)
    assert lease is not None
    assert await replicate(world, person("anna")) is None
    assert world.pbx.connections == 0
    assert await world.health.heartbeat("directory") is None
    await world.leases.release(lease)
    assert await replicate(world) == Changes(1, 0, 0)
    assert await replicate(world) == Changes(0, 0, 0), "the lease was given back"


class TestTrouble:
    @pytest.mark.parametrize(
        "error",
        [
            PbxUnavailable("Away."),
            PbxLoginRefused("pbx.password: refused."),
            WrongPbx("master", "other"),
        ],
    )
    async def test_is_recorded_until_it_is_over(self, world: World, error: PbxUnavailable) -> None:
        world.pbx.down = error
        assert await replicate(world, person("anna")) is None
        trouble = await world.health.trouble("pbx")
        assert error.retry_after is not None
        assert trouble == Trouble(
            type(error).__name__, str(error), world.now, 1, world.now + error.retry_after
        )
        assert await world.health.heartbeat("directory") == Heartbeat("directory", world.now, 0, str(error))
        world.pbx.down = None
        assert await replicate(world) == Changes(1, 0, 0)
        assert await world.health.trouble("pbx") is None
        assert await world.health.heartbeat("directory") == Heartbeat("directory", world.now, 0, "")


class TestOverdue:
    async def overdue(self, world: World) -> bool:
        return await is_overdue(world.health, world.clock)

    async def test_is_what_never_ran(self, world: World) -> None:
        assert await self.overdue(world)

    async def test_is_what_ran_long_ago(self, world: World) -> None:
        await replicate(world, person("anna"))
        world.now += HOUR + 15 * MINUTE
        assert not await self.overdue(world)
        world.now += MINUTE
        assert await self.overdue(world)

    async def test_is_what_failed_when_the_pause_is_over(self, world: World) -> None:
        world.pbx.down = PbxLoginRefused("refused")
        await replicate(world, person("anna"))
        world.now += MINUTE / 4
        assert not await self.overdue(world)
        world.now += MINUTE / 4
        assert await self.overdue(world)

    async def test_is_what_failed_where_the_pbx_is_back(self, world: World) -> None:
        world.pbx.down = PbxLoginRefused("refused")
        await replicate(world, person("anna"))
        await world.health.set_trouble("pbx", None)
        assert await self.overdue(world)
