"""The stored users follow the PBX's."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest

from dev.pbx import PbxSimulator
from shared.errors import PbxLoginRefused, PbxUnavailable, WrongPbx
from shared.model import CalendarUser, MailboxState, User
from shared.pbx.protocol import TableRow
from shared.pbx.session import PbxLink, open_session
from shared.settings import PbxSettings, Scope
from shared.state.storage import Operation, Table
from shared.sync.directory import Changes, is_overdue
from shared.sync.interfaces import Heartbeat, Trouble
from tests.integration.sync.fakes import FakePbx, Order
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
        assert world.queues.users_of("subscribe") == [ANNA, BERND], "his addresses were not followed yet"
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
        assert await world.health.trouble("pbx") is None, "presences are still told"

    async def test_not_by_an_empty_listing(self, world: World) -> None:
        world.pbx.rows = []
        assert await replicate(world) is None
        assert await known(world) == ["anna", "bernd"]
        beat = await world.health.heartbeat("directory")
        assert beat is not None
        assert "listed no users at all" in beat.error
        assert await world.health.trouble("pbx") is None, "presences are still told"


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


@pytest.mark.parametrize(
    ("reason", "orders"),
    [
        ("hourly", []),
        ("overdue", []),
        ("configuration", [Order("directory", (), "wanted meanwhile")]),
    ],
)
async def test_what_was_asked_for_while_another_runs_is_done_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: str, orders: list[Order]
) -> None:
    """The one that runs may have begun with the configuration before."""
    users = world.pbx.users

    async def let_another_come() -> AsyncIterator[TableRow]:
        assert await world.directory.run(reason) is None
        # In case this one is killed.
        assert all(order.delay > 5 * MINUTE for order in world.queues.take())
        async for row in users():
            yield row

    monkeypatch.setattr(FakePbx, "users", lambda _: let_another_come())
    world.pbx.list_users(person("anna"))
    assert await world.directory.run() is not None
    assert [order for order in world.queues.take() if order.queue == "directory"] == orders


class TestLong:
    """A replication that takes longer than its lease was granted for."""

    PEOPLE = tuple(person(f"{digit}{n}") for digit in "048c" for n in range(3))

    @pytest.fixture(autouse=True)
    def slow(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two minutes pass with each row."""
        world.pbx.list_users(*self.PEOPLE)
        users = world.pbx.users

        async def crawl() -> AsyncIterator[TableRow]:
            async for row in users():
                world.now += 2 * MINUTE
                await self.meanwhile(world)
                yield row

        monkeypatch.setattr(FakePbx, "users", lambda _: crawl())
        self.others = 0

    async def meanwhile(self, world: World) -> None:
        if await world.leases.acquire("directory", world.now, MINUTE) is not None:
            self.others += 1

    async def test_keeps_its_lease(self, world: World) -> None:
        assert await replicate(world) == Changes(len(self.PEOPLE), 0, 0)
        assert self.others == 0
        assert await world.leases.acquire("directory", world.now, MINUTE) is not None, "given back"

    async def test_gives_up_where_it_lost_it(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        async def overslept(_: World) -> None:
            world.now += HOUR
            assert await world.leases.acquire("directory", world.now, HOUR) is not None
            monkeypatch.setattr(self, "meanwhile", AsyncMock())

        monkeypatch.setattr(self, "meanwhile", overslept)
        assert await replicate(world) is None
        assert await known(world) == []
        assert await world.health.heartbeat("directory") is None
        assert await world.leases.acquire("directory", world.now, MINUTE) is None, "the other one's"


class TestMany:
    PEOPLE = tuple(person(f"{n % 16:x}{n}") for n in range(500))

    async def test_are_stored_listed_and_asked_for_in_whole_groups(self, world: World) -> None:
        assert await replicate(world, *self.PEOPLE) == Changes(500, 0, 0)
        assert await known(world) == sorted((p.sip for p in self.PEOPLE), key=guid_of)
        orders = world.queues.take()
        assert sorted(g for order in orders for g in order.users) == sorted(p.guid for p in self.PEOPLE)
        assert {len(order.users) for order in orders} <= {20 * n for n in range(1, 26)}
        assert [len((await world.listing.page(after=after)).users) for after in ("", "~")] == [50, 0]

    async def test_changes_go_together(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        await replicate(world, *self.PEOPLE)
        requests = 0
        transact = Table.transact

        async def count(table: Table, steps: Sequence[Operation]) -> object:
            nonlocal requests
            requests += 1
            return await transact(table, steps)

        monkeypatch.setattr(Table, "transact", count)
        moved = [replace(p, location="elsewhere") for p in self.PEOPLE]
        assert await replicate(world, *moved) == Changes(0, 500, 0)
        assert requests == 16, "names did not change: the listing is not written"


async def test_a_run_killed_between_partitions_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_partition = world.users.in_partition

    def killed(partition: str) -> AsyncIterator[CalendarUser]:
        if partition == "b":
            raise OSError("killed")
        return in_partition(partition)

    monkeypatch.setattr(world.users, "in_partition", killed)
    with pytest.raises(OSError, match="killed"):
        await replicate(world, person("anna"), person("bernd"))
    monkeypatch.undo()
    assert await known(world) == ["anna"]
    assert await replicate(world) == Changes(1, 0, 0)
    assert await known(world) == ["anna", "bernd"]
    assert len((await world.listing.page()).users) == 2
    world.now += 10 * MINUTE
    world.queues.take()
    await world.upkeep.run()
    assert ANNA in world.queues.users_of("subscribe"), "whose order was lost"


async def test_a_renamed_user_is_marked_for_reading_with_the_new_name(world: World) -> None:
    """A run that is killed before the order leaves the mark, which the upkeep finds."""
    world.pbx.identity = None
    world.directory_settings = PbxSettings()
    await replicate(world, person("anna"))
    await replicate(world, replace(person("anna"), sip="anna.new"))
    assert (await world.find(ANNA)).read_requested_at == world.now


class TestRows:
    """What one replication lists of a user more than once: the last counts."""

    async def test_two_rows_with_the_same_guid(self, world: World) -> None:
        world.pbx.list_users(person("anna"), person("bernd"), replace(person("anna"), sip="anna2"))
        assert await replicate(world) == Changes(2, 0, 0)
        assert await known(world) == ["anna2", "bernd"]
        assert await replicate(world) == Changes(0, 0, 0)

    @pytest.mark.parametrize("stays", [True, False])
    async def test_who_comes_and_goes_meanwhile(self, world: World, stays: bool) -> None:
        anna = person("anna")
        rows = [TableRow(ANNA, anna), TableRow(ANNA, None)] * 2 + [TableRow(BERND, person("bernd"))]
        world.pbx.rows = rows + [TableRow(ANNA, anna)] * stays
        assert await replicate(world) == Changes(1 + stays, 0, 0)
        assert await known(world) == ["anna"] * stays + ["bernd"]

    async def test_who_leaves_the_scope_meanwhile(self, world: World) -> None:
        world.directory_settings = PbxSettings(scope=Scope.GROUPS, scope_groups=("sales",))
        world.pbx.list_users(person("anna", groups=("sales",)), person("anna"))
        assert await replicate(world) == Changes(0, 0, 0)


class TestSimulatedPbx:
    """Over a real session, where rows change while they are replicated."""

    @pytest.fixture
    async def simulator(self, world: World) -> AsyncIterator[PbxSimulator]:
        rows = [{"guid": guid_of(name), "h323": name} for name in ("anna", "bernd", "carla")]
        async with PbxSimulator(users=rows) as pbx:
            yield pbx

    async def run(self, world: World, pbx: PbxSimulator) -> Changes | None:
        link = PbxLink(pbx.url, "master", "calendarsync", "secret", pbx.ca_pem)
        return await replace(world.directory, connect=lambda: open_session(link)).run()

    async def test_a_user_without_a_user_name_is_none(self, world: World, simulator: PbxSimulator) -> None:
        assert await self.run(world, simulator) == Changes(3, 0, 0)
        row = simulator.users.find(ANNA)
        assert row is not None
        row.columns["h323"] = ""
        assert await self.run(world, simulator) == Changes(0, 0, 1)
        assert await known(world) == ["bernd", "carla"]
        simulator.users.change(ANNA, {"h323": "anna"})
        assert await self.run(world, simulator) == Changes(1, 0, 0)

    async def test_a_replication_that_breaks_off_changes_nothing(
        self, world: World, simulator: PbxSimulator
    ) -> None:
        await self.run(world, simulator)
        simulator.users.remove(ANNA)
        simulator.users.add({"guid": "d" * 32, "h323": "dora"})
        simulator.faults.drop_after = 5
        assert await self.run(world, simulator) is None
        assert await known(world) == ["anna", "bernd", "carla"]
        assert await self.run(world, simulator) == Changes(1, 0, 1)
        assert await known(world) == ["bernd", "carla", "dora"]


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
