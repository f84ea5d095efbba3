"""How many requests to Exchange may be under way, over all instances."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import StateConflict
from shared.state.budget import FIRST, HIGHEST, LOWEST, Budget
from shared.state.storage import Storage
from shared.sync.interfaces import BudgetUse, Grant, Pause

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def budget(storage: Storage) -> Budget:
    return Budget(storage)


async def take(budget: Budget, wanted: int = 1, now: datetime = NOW) -> Grant:
    granted = await budget.acquire(wanted, now)
    assert isinstance(granted, Grant)
    return granted


async def count_free(budget: Budget, now: datetime) -> int:
    """Take as many as work for many may have, the rest one by one, and give all back at once."""
    slots: list[str] = []
    wanted = HIGHEST
    while isinstance(granted := await budget.acquire(wanted, now), Grant):
        slots += granted.slots
        wanted = 1
    await budget.release(Grant(tuple(slots)), now, None)
    return len(slots)


async def test_many_together_never_get_more_than_the_limit(budget: Budget) -> None:
    got = await asyncio.gather(*(budget.acquire(1, NOW) for _ in range(20)))
    slots = [slot for granted in got if isinstance(granted, Grant) for slot in granted.slots]
    assert len(slots) == len(set(slots)) == FIRST
    assert {granted for granted in got if isinstance(granted, Pause)} == {Pause(2 * SECOND)}


async def test_slots_that_were_given_back_are_given_again(budget: Budget) -> None:
    grants = [await take(budget) for _ in range(FIRST)]
    await asyncio.gather(*(budget.release(grant, NOW, None) for grant in grants))
    assert await count_free(budget, NOW) == FIRST


async def test_work_for_many_leaves_room_for_one(budget: Budget) -> None:
    assert len((await take(budget, FIRST + 5)).slots) == FIRST - FIRST // 4
    assert isinstance(await budget.acquire(2, NOW), Pause)
    assert len((await take(budget, 1)).slots) == 1


async def test_what_was_given_back_twice_does_no_harm(budget: Budget) -> None:
    first, second = await take(budget), await take(budget)
    await budget.release(first, NOW, None)
    await budget.release(first, NOW, None)
    assert await count_free(budget, NOW) == FIRST - len(second.slots)


async def test_a_killed_workers_slots_come_back_by_themselves(budget: Budget) -> None:
    for _ in range(FIRST):
        await take(budget)
    almost = NOW + 5 * MINUTE - SECOND
    assert isinstance(await budget.acquire(1, almost), Pause)
    assert await count_free(budget, NOW + 5 * MINUTE) >= FIRST


async def test_the_pause_that_exchange_wants_is_kept_by_all(budget: Budget) -> None:
    grant = await take(budget)
    await budget.release(grant, NOW, 10 * SECOND)
    assert await budget.acquire(1, NOW + 4 * SECOND) == Pause(6 * SECOND)
    assert await take(budget, now=NOW + 10 * SECOND)


async def test_a_shorter_pause_does_not_end_a_longer_one(budget: Budget) -> None:
    first, second = await take(budget), await take(budget)
    await budget.release(first, NOW, MINUTE)
    await budget.release(second, NOW, SECOND)
    assert await budget.acquire(1, NOW) == Pause(MINUTE)


async def test_a_success_does_not_end_a_pause(budget: Budget) -> None:
    first, second = await take(budget), await take(budget)
    await budget.release(first, NOW, MINUTE)
    await budget.release(second, NOW, None)
    assert await budget.acquire(1, NOW) == Pause(MINUTE)


async def test_each_pause_halves_the_limit_down_to_one(budget: Budget) -> None:
    now, seen = NOW, []
    for _ in range(5):
        grant = await take(budget, now=now)
        await budget.release(grant, now, SECOND)
        now += SECOND
        seen.append(await count_free(budget, now))
    assert seen == [4, 2, LOWEST, LOWEST, LOWEST]


async def test_the_limit_grows_by_one_a_quiet_minute_up_to_the_highest(budget: Budget) -> None:
    await budget.release(await take(budget), NOW, SECOND)
    now = NOW + SECOND
    for minutes in range(1, HIGHEST):
        now += MINUTE
        await budget.release(await take(budget, now=now), now, None)
        if minutes in (1, 2, HIGHEST - 5, HIGHEST - 1):
            # Giving these back is a second success within the minute and earns nothing.
            assert await count_free(budget, now) == min(FIRST // 2 + minutes, HIGHEST)


async def test_a_minute_with_a_pause_in_it_is_not_quiet(budget: Budget) -> None:
    await budget.release(await take(budget), NOW, SECOND)
    await budget.release(await take(budget, now=NOW + MINUTE - SECOND), NOW + MINUTE - SECOND, None)
    assert await count_free(budget, NOW + MINUTE - SECOND) == FIRST // 2


async def test_nobody_is_asked_for_is_nobody_granted(budget: Budget) -> None:
    assert isinstance(await budget.acquire(0, NOW), Pause)


async def test_who_never_gets_through_waits_or_says_so(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await take(budget)

    async def conflict(*_: object) -> bool:
        return False

    monkeypatch.setattr(budget, "_write", conflict)
    assert await budget.acquire(1, NOW) == Pause(2 * SECOND)
    with pytest.raises(StateConflict, match="Too many workers"):
        await budget.release(grant, NOW, None)


async def test_reset_forgets_pauses_and_slots(budget: Budget) -> None:
    await take(budget)
    await budget.release(await take(budget), NOW, MINUTE)
    await budget.reset()
    assert await count_free(budget, NOW) == FIRST


async def test_systems_do_not_share(storage: Storage) -> None:
    first, second = Budget(storage, "exchange"), Budget(storage, "other")
    await first.release(await take(first), NOW, MINUTE)
    assert await count_free(second, NOW) == FIRST


async def test_several_told_to_wait_together_halve_the_limit_once(budget: Budget) -> None:
    grants = [await take(budget) for _ in range(3)]
    for grant in grants:
        await budget.release(grant, NOW, SECOND)
    assert await count_free(budget, NOW + SECOND) == FIRST // 2


async def test_anybody_can_ask_whether_there_is_a_pause(budget: Budget) -> None:
    assert await budget.pause(NOW) is None
    await budget.release(await take(budget), NOW, 10 * SECOND)
    assert await budget.pause(NOW + 4 * SECOND) == Pause(6 * SECOND)
    assert await budget.pause(NOW + 10 * SECOND) is None


async def test_of_many_instances_one_probes(storage: Storage) -> None:
    budgets = [Budget(storage) for _ in range(6)]
    grants = await asyncio.gather(*(budget.acquire(4, NOW, probe=True) for budget in budgets))
    (probe,) = [grant for grant in grants if isinstance(grant, Grant)]
    assert len(probe.slots) == 1
    assert {grant.duration.total_seconds() for grant in grants if isinstance(grant, Pause)} == {10}
    await budgets[0].release(probe, NOW, None)
    assert isinstance(await budgets[1].acquire(4, NOW, probe=True), Grant)


async def test_requests_still_under_way_do_not_keep_one_from_probing(storage: Storage) -> None:
    budget = Budget(storage)
    assert isinstance(await budget.acquire(4, NOW), Grant)
    assert isinstance(await budget.acquire(4, NOW, probe=True), Grant)


async def test_a_killed_probe_makes_room_by_itself(storage: Storage) -> None:
    budget = Budget(storage)
    await budget.acquire(1, NOW, probe=True)
    assert isinstance(await budget.acquire(1, NOW + timedelta(minutes=5), probe=True), Grant)


async def test_how_much_is_used_is_told(storage: Storage) -> None:
    budget = Budget(storage)
    assert await budget.use(NOW) == BudgetUse(FIRST, 0, None)
    grant = await budget.acquire(3, NOW)
    assert isinstance(grant, Grant)
    assert await budget.use(NOW) == BudgetUse(FIRST, 3, None)
    await budget.release(grant, NOW, timedelta(seconds=40))
    assert await budget.use(NOW) == BudgetUse(FIRST // 2, 0, NOW + timedelta(seconds=40))
    assert await budget.use(NOW + timedelta(seconds=40)) == BudgetUse(FIRST // 2, 0, None)


async def test_no_more_are_given_than_the_administrator_allows(storage: Storage) -> None:
    few, one = Budget(storage, most=3), Budget(storage, most=1)
    assert await count_free(few, NOW) == 3
    grant = await take(one, 5)
    assert len(grant.slots) == 1
    assert isinstance(await one.acquire(1, NOW), Pause)
    await one.release(grant, NOW, None)
    assert await count_free(Budget(storage), NOW) == FIRST, "the limit itself stays"


async def test_the_fewer_may_work_the_later_one_tries_again_who_finds_no_slot(budget: Budget) -> None:
    while (grant := await budget.acquire(1, NOW)) != Pause(2 * SECOND):
        assert isinstance(grant, Grant)
    await budget.release(Grant(()), NOW, 10 * SECOND)
    assert await budget.acquire(1, NOW + 10 * SECOND) == Pause(4 * SECOND)
