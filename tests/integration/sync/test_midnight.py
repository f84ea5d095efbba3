"""Once a local day everybody is read again, however late, doubled or interrupted the runs are."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.model import Failure, MailboxState
from shared.sync.interfaces import Census, Progress
from tests.integration.sync.fakes import Order
from tests.integration.sync.world import DAY, HOUR, MINUTE, World, guid_of, person
from tests.storage import empty

pytestmark = pytest.mark.integration

QUARTER = 15 * MINUTE
BERLIN = ZoneInfo("Europe/Berlin")
ANNA, BERND, CARLA = guid_of("anna"), guid_of("bernd"), guid_of("carla")


def asked(world: World) -> list[str]:
    """For whom a reading or a subscription was asked since the last time."""
    return sorted(guid for order in world.queues.take() for guid in order.users)


@pytest.fixture(autouse=True)
async def three(world: World) -> None:
    await world.add("anna", "bernd", "carla")


async def test_the_first_day_began_when_everybody_was_new(world: World) -> None:
    assert await world.midnight.run(BERLIN) == 0
    assert asked(world) == []
    assert await world.health.progress("midnight") == Progress("2026-11-23", 16, 0, world.now, world.now)


@pytest.mark.parametrize(
    ("zone", "begin", "first", "second"),
    [
        ("Europe/Berlin", "2026-03-28T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-24T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        # There midnight itself does not exist on the day, or comes twice.
        ("America/Asuncion", "2023-09-30T20:00", "2023-10-01T04:00", "2023-10-02T03:00"),
        ("America/Asuncion", "2024-03-23T20:00", "2024-03-24T04:00", "2024-03-25T04:00"),
        ("Asia/Kolkata", "2026-11-23T12:00", "2026-11-23T18:30", "2026-11-24T18:30"),
        ("Asia/Kathmandu", "2026-11-23T12:00", "2026-11-23T18:15", "2026-11-24T18:15"),
        ("Australia/Lord_Howe", "2026-04-04T00:00", "2026-04-04T13:00", "2026-04-05T13:30"),
        ("Pacific/Kiritimati", "2026-11-23T08:00", "2026-11-23T10:00", "2026-11-24T10:00"),
        ("America/Los_Angeles", "2026-11-23T09:00", "2026-11-24T08:00", "2026-11-25T08:00"),
    ],
)
async def test_each_local_day_begins_once_at_its_midnight(
    world: World, zone: str, begin: str, first: str, second: str
) -> None:
    world.now = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    end = datetime.fromisoformat(second).replace(tzinfo=UTC)
    began = []
    while world.now <= end:
        if await world.midnight.run(ZoneInfo(zone)):
            began.append(world.now.strftime("%Y-%m-%dT%H:%M"))
            assert asked(world) == [ANNA, BERND, CARLA]
        # Only around the changes, and twice.
        world.now += QUARTER / 2
        near = any(
            abs(world.now - datetime.fromisoformat(moment).replace(tzinfo=UTC)) < HOUR
            for moment in (first, second)
        )
        world.now += timedelta() if near else 2 * QUARTER - QUARTER / 2
    assert began == [first, second]


async def test_missed_days_are_one(world: World) -> None:
    await world.midnight.run(BERLIN)
    world.now += 3 * DAY + 5 * HOUR
    assert await world.midnight.run(BERLIN) == 3
    assert await world.midnight.run(BERLIN) == 0
    assert asked(world) == [ANNA, BERND, CARLA]


async def test_a_zone_in_which_it_is_yesterday_begins_nothing(world: World) -> None:
    await world.midnight.run(ZoneInfo("Pacific/Kiritimati"))
    assert await world.midnight.run(ZoneInfo("Pacific/Niue")) == 0
    assert asked(world) == []


async def test_overlapping_runs_are_one(world: World) -> None:
    await world.midnight.run(BERLIN)
    world.now += DAY
    await asyncio.gather(*(world.midnight.run(BERLIN) for _ in range(4)))
    assert asked(world) == [ANNA, BERND, CARLA]


async def test_who_waited_for_the_lease_looks_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.midnight.run(BERLIN)
    world.now += DAY
    acquire = world.leases.acquire

    async def let_another_go_first(*arguments: object) -> object:
        monkeypatch.undo()
        await world.midnight.run(BERLIN)
        return await acquire(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.leases, "acquire", let_another_go_first)
    assert await world.midnight.run(BERLIN) == 0
    assert asked(world) == [ANNA, BERND, CARLA]
    assert await world.leases.acquire("midnight", world.now, HOUR), "it was given back"


async def test_a_killed_run_is_resumed_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.midnight.run(BERLIN)
    world.now += DAY
    store = world.health.set_progress

    async def killed(name: str, progress: Progress) -> None:
        await store(name, progress)
        if progress.done == 12:  # The partitions 0 to b
            raise KeyboardInterrupt

    monkeypatch.setattr(world.health, "set_progress", killed)
    with pytest.raises(KeyboardInterrupt):
        await world.midnight.run(BERLIN)
    assert asked(world) == [ANNA, BERND]
    monkeypatch.undo()
    assert await world.midnight.run(BERLIN) == 1
    assert asked(world) == [CARLA]


async def test_a_killed_run_of_yesterday_is_not_resumed(world: World) -> None:
    await world.health.set_progress("midnight", Progress("2026-11-22", 11, began=world.now - HOUR))
    assert await world.midnight.run(BERLIN) == 3


async def test_one_killed_with_its_lease_is_resumed_when_that_has_ended(world: World) -> None:
    await world.health.set_progress("midnight", Progress("2026-11-22", 16))
    await world.leases.acquire("midnight", world.now, 10 * MINUTE)
    assert await world.midnight.run(BERLIN) == 0
    world.now += QUARTER
    assert await world.midnight.run(BERLIN) == 3


async def test_who_has_no_mailbox_is_looked_for_and_who_is_inactive_is_left_alone(world: World) -> None:
    await world.midnight.run(BERLIN)
    await world.users.set_mailbox(ANNA, MailboxState.NONE)
    await world.users.set_leaving(BERND)
    world.now += DAY
    assert await world.midnight.run(BERLIN) == 2
    assert (world.queues.users_of("subscribe"), world.queues.users_of("sync")) == ([ANNA], [CARLA])


@pytest.mark.parametrize("lasting", [True, False])
async def test_who_failed_for_good_is_looked_for_anew(world: World, lasting: bool) -> None:
    await world.midnight.run(BERLIN)
    retry_at = None if lasting else world.now + HOUR
    await world.users.set_failure(ANNA, Failure("X", "Failed.", world.now, 1, retry_at))
    world.now += DAY
    await world.midnight.run(BERLIN)
    assert world.queues.users_of("subscribe") == ([ANNA] if lasting else [])


async def test_many_are_asked_for_in_groups_spread_over_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [await world.find(ANNA)] * 130

    async def crowd(partition: str) -> object:
        for user in users if partition in "ab" else ():
            yield user

    monkeypatch.setattr(world.users, "in_partition", crowd)
    await world.midnight.run(BERLIN)
    world.now += DAY
    assert await world.midnight.run(BERLIN) == 260
    orders: list[Order] = world.queues.take()
    assert all(len(order.users) <= 20 for order in orders)
    assert sum(len(order.users) for order in orders) == 260
    before = 0
    for order in orders:
        earliest = timedelta(seconds=before / 50)
        assert earliest <= order.delay <= earliest + timedelta(seconds=2)
        before += len(order.users)


@pytest.mark.parametrize(
    ("users", "minutes"),
    [(45_000, 15), (100_000, 33.3), (360_000, 120), (1_000_000, 120)],
)
async def test_the_more_users_the_longer_it_takes_until_the_rate_grows(
    world: World, monkeypatch: pytest.MonkeyPatch, users: int, minutes: float
) -> None:
    """As the last census counted them; the last tenth of them is looked at here."""
    anna = await world.find(ANNA)

    async def crowd(partition: str) -> object:
        for _ in range(users // 10 if partition == "a" else 0):
            yield anna

    monkeypatch.setattr(world.users, "in_partition", crowd)
    await world.midnight.run(BERLIN)
    await world.health.set_census(Census(world.now, total=users))
    world.now += DAY
    await world.midnight.run(BERLIN)
    last = max(order.delay for order in world.queues.take())
    assert last == pytest.approx(minutes / 10 * MINUTE, abs=timedelta(seconds=3))


async def test_its_progress_and_duration_are_recorded(world: World) -> None:
    await world.midnight.run(BERLIN)
    world.now += DAY
    begin = world.now
    read = world.users.in_partition

    async def slow(partition: str) -> object:
        world.now += MINUTE
        async for user in read(partition):
            yield user

    world.users.in_partition = slow  # type: ignore[method-assign, assignment]
    await world.midnight.run(BERLIN)
    assert await world.health.progress("midnight") == Progress(
        "2026-11-24", 16, 3, begin, begin + 16 * MINUTE
    )


async def test_the_last_reading_of_a_day_is_known(world: World) -> None:
    await world.health.set_progress("midnight", Progress("2026-11-23", 16, 3, world.now - HOUR, world.now))
    await world.reader.read([ANNA], "changed", world.rules)
    midnight = await world.health.progress("midnight")
    assert midnight is not None
    assert midnight.last_read is None, "a change is no part of the round"
    world.now += MINUTE
    await world.reader.read([BERND], "midnight", world.rules)
    midnight = await world.health.progress("midnight")
    assert midnight is not None
    assert midnight.last_read == world.now


async def test_a_resumed_run_counts_on(world: World) -> None:
    begun = Progress("2026-11-23", 11, 40, world.now - HOUR)
    await world.health.set_progress("midnight", begun)
    assert await world.midnight.run(BERLIN) == 2, "bernd and carla"
    assert await world.health.progress("midnight") == replace(begun, done=16, users=42, ended=world.now)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    start=st.datetimes(datetime(2026, 3, 27), datetime(2026, 3, 31)).map(lambda d: d.replace(tzinfo=UTC)),  # noqa: DTZ001
    steps=st.lists(st.integers(0, 40 * 60), min_size=1, max_size=12),
    zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia"]),
)
async def test_whenever_it_runs_each_date_begins_once(
    world: World, start: datetime, steps: list[int], zone: str
) -> None:
    await empty(world.storage)
    await world.users.add(person("anna"), ())
    world.now = start
    await world.midnight.run(ZoneInfo(zone))
    dates, begun = [start.astimezone(ZoneInfo(zone)).date()], 0
    for minutes in steps:
        world.now += minutes * MINUTE
        begun += await world.midnight.run(ZoneInfo(zone))
        dates.append(world.now.astimezone(ZoneInfo(zone)).date())
    assert begun == len(set(dates)) - 1
