"""Only one may do a thing at a time, and not for ever."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.state.leases import Leases
from shared.state.storage import Storage
from shared.sync.interfaces import Lease, Wanted

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def leases(storage: Storage) -> Leases:
    return Leases(storage)


async def test_one_of_many_gets_a_lease_that_was_never_given(leases: Leases) -> None:
    got = await asyncio.gather(*(leases.acquire("publisher", NOW, MINUTE) for _ in range(10)))
    assert len([lease for lease in got if lease]) == 1


async def test_one_of_many_gets_a_lease_that_has_ended(leases: Leases) -> None:
    assert await leases.acquire("publisher", NOW, MINUTE)
    later = NOW + MINUTE
    got = await asyncio.gather(*(leases.acquire("publisher", later, MINUTE) for _ in range(10)))
    assert len([lease for lease in got if lease]) == 1


async def test_leases_of_other_names_are_free(leases: Leases) -> None:
    assert await leases.acquire("publisher", NOW, MINUTE)
    assert await leases.acquire("directory", NOW, MINUTE)


async def test_a_lease_is_held_until_it_ends(leases: Leases) -> None:
    lease = await leases.acquire("publisher", NOW, MINUTE)
    assert lease
    assert lease.until == NOW + MINUTE
    assert await leases.acquire("publisher", NOW + MINUTE - timedelta(microseconds=1), MINUTE) is None
    assert await leases.acquire("publisher", NOW + MINUTE, MINUTE)


async def test_a_renewed_lease_is_held_longer(leases: Leases) -> None:
    lease = await leases.acquire("publisher", NOW, MINUTE)
    assert lease
    renewed = await leases.renew(lease, NOW + MINUTE / 2, MINUTE)
    assert renewed
    assert renewed.until == NOW + MINUTE * 1.5
    assert await leases.acquire("publisher", NOW + MINUTE, MINUTE) is None


async def test_a_released_lease_is_free_at_once(leases: Leases) -> None:
    lease = await leases.acquire("publisher", NOW, MINUTE)
    assert lease
    await leases.release(lease)
    assert await leases.acquire("publisher", NOW, MINUTE)


async def test_a_lost_lease_is_neither_renewed_nor_released_by_its_former_holder(leases: Leases) -> None:
    former = await leases.acquire("publisher", NOW, MINUTE)
    assert former
    present = await leases.acquire("publisher", NOW + MINUTE, MINUTE)
    assert present
    assert await leases.renew(former, NOW + MINUTE, MINUTE) is None
    await leases.release(former)
    assert await leases.acquire("publisher", NOW + MINUTE, MINUTE) is None
    assert await leases.renew(present, NOW + MINUTE, MINUTE)


async def test_the_holder_learns_that_the_lease_was_wanted_and_one_message_stands_in(leases: Leases) -> None:
    lease = await leases.acquire_or_want("publisher", NOW, MINUTE)
    assert isinstance(lease, Lease)
    got = await asyncio.gather(*(leases.acquire_or_want("publisher", NOW, MINUTE) for _ in range(5)))
    assert sorted(map(str, got)) == sorted(map(str, [Wanted(MINUTE + SECOND), *[Wanted()] * 4]))
    renewed = await leases.renew(lease, NOW + MINUTE / 2, MINUTE)
    assert renewed
    assert await leases.release(renewed)
    assert not await leases.release(renewed), "it was told once"


async def test_who_holds_the_next_lease_learns_of_who_wanted_that(leases: Leases) -> None:
    first = await leases.acquire("publisher", NOW, MINUTE)
    assert first
    assert await leases.acquire_or_want("publisher", NOW, MINUTE) == Wanted(MINUTE + SECOND)
    await leases.release(first)
    second = await leases.acquire("publisher", NOW + SECOND, MINUTE)
    assert second
    assert not await leases.release(second), "nobody wanted it since"
    third = await leases.acquire("publisher", NOW + SECOND, MINUTE)
    assert third
    # The message of the first time is still to come.
    assert await leases.acquire_or_want("publisher", NOW + MINUTE, MINUTE) == Wanted()
    assert await leases.release(third)


async def test_the_message_that_stands_in_leaves_another_where_a_lease_was_prolonged(
    leases: Leases,
) -> None:
    lease = await leases.acquire("publisher", NOW, MINUTE)
    assert lease
    assert await leases.acquire_or_want("publisher", NOW, MINUTE) == Wanted(MINUTE + SECOND)
    assert await leases.renew(lease, NOW + MINUTE / 2, MINUTE)
    comes = NOW + MINUTE + SECOND
    assert await leases.acquire_or_want("publisher", comes, MINUTE) == Wanted(MINUTE / 2)
    assert isinstance(await leases.acquire_or_want("publisher", comes + MINUTE / 2, MINUTE), Lease)


async def test_a_lease_that_ended_is_taken_and_not_wanted(leases: Leases) -> None:
    assert await leases.acquire("publisher", NOW, MINUTE)
    lease = await leases.acquire_or_want("publisher", NOW + MINUTE, MINUTE)
    assert isinstance(lease, Lease)
    assert not await leases.release(lease)


async def test_what_was_asked_for_before_the_holder_began_is_not_wanted_again(leases: Leases) -> None:
    lease = await leases.acquire("directory", NOW, MINUTE)
    assert lease
    got = await leases.acquire_or_want("directory", NOW, MINUTE, asked=NOW - 6 * SECOND)
    assert got == Wanted()
    assert not await leases.release(lease)


async def test_what_was_asked_for_about_when_the_holder_began_is(leases: Leases) -> None:
    lease = await leases.acquire("directory", NOW, MINUTE)
    assert lease
    lease = await leases.renew(lease, NOW + MINUTE / 2, MINUTE)
    assert lease
    later = NOW + MINUTE
    assert isinstance(
        await leases.acquire_or_want("directory", later, MINUTE, asked=NOW - 5 * SECOND), Wanted
    )
    assert await leases.release(lease)
