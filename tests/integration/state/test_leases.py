"""Only one may do a thing at a time, and not for ever."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.state.leases import Leases
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


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
