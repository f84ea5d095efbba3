"""Who leaves is forgotten, in an order that bears being interrupted."""

import pytest

from tests.integration.sync.world import World, appoint, guid_of

pytestmark = pytest.mark.integration

ANNA = guid_of("anna")
REVIEW = appoint("08:30", "10:00", "Review")


async def test_who_is_not_known_is_not_made_known(world: World) -> None:
    assert not await world.farewell.leave(ANNA)
    assert await world.users.get(ANNA) is None
    assert await world.farewell.find_left([ANNA]) == {ANNA}


async def test_who_never_had_a_presence_leaves_at_once(world: World) -> None:
    await world.add("anna")
    await world.read(ANNA)
    assert await world.farewell.find_left([ANNA]) == set()
    assert not await world.farewell.leave(ANNA)
    assert await world.users.get(ANNA) is None
    assert await world.agendas.get(ANNA) is None


async def test_the_users_own_record_goes_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.add("anna", calendar=[REVIEW])
    await world.read(ANNA)
    await world.notes()

    async def killed(_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.outbox, "withdraw", killed)
    with pytest.raises(KeyboardInterrupt):
        await world.farewell.leave(ANNA)
    assert (await world.find(ANNA)).leaving
    monkeypatch.undo()
    assert await world.farewell.leave(ANNA)
    assert await world.notes() == {ANNA: ""}
