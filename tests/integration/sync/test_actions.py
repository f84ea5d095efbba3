"""What an administrator does to one user, or to all."""

import pytest

from shared.errors import StateConflict
from shared.model import Failure, MailboxState
from shared.state.storage import Storage
from shared.sync import applying, publishing
from tests.integration.sync.office import Office
from tests.integration.sync.world import appoint, guid_of, person

pytestmark = pytest.mark.integration

ANNA, BERTA = guid_of("anna"), guid_of("berta")


@pytest.fixture
async def office(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Two users in two partitions, subscribed to, read and shown."""
    monkeypatch.setattr(publishing, "_RECONNECTIONS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(applying, "PARTITIONS", ("a", "b"))
    office = Office(storage)
    people = [person(name) for name in ("anna", "berta")]
    office.pbx.list_users(*people)
    for user in people:
        office.exchange.calendars[user.emails[0]] = [appoint("08:00", "11:00", "Lunch")]
    await office.open()
    await office.work()
    office.exchange.asked.clear()
    return office


async def test_one_user_is_read_again(office: Office) -> None:
    assert await office.actions.read_again(ANNA)
    await office.work()
    assert office.exchange.asked == [("read", "anna@example.com")]


async def test_who_failed_for_good_is_looked_for_again(office: Office) -> None:
    await office.users.set_failure(ANNA, Failure("ErrorNonExistentMailbox", "x", office.now, 1, None))
    assert await office.actions.read_again(ANNA)
    await office.work()
    assert [operation for operation, _ in office.exchange.asked] == ["find_mailbox", "read"]


async def test_who_is_not_there_or_excluded_is_not_read(office: Office) -> None:
    assert not await office.actions.read_again("f" * 32)
    await office.actions.exclude(ANNA, True)
    await office.work()
    assert not await office.actions.read_again(ANNA)
    assert office.exchange.asked == []


async def test_everybody_is_read_again(office: Office) -> None:
    await office.users.set_mailbox(BERTA, MailboxState.NONE)
    await office.actions.read_everybody()
    applied = await office.applied.get()
    assert applied is not None
    assert applied.extra, "it is stored what has to be done"
    await office.work()
    assert ("read", "anna@example.com") in office.exchange.asked
    assert ("read", "berta@example.com") in office.exchange.asked
    assert not await office.applier.notice(await office.configured())
    office.exchange.asked.clear()
    office.queues.take()
    await office.work()
    assert office.exchange.asked == [], "once"


async def test_everybody_is_read_also_when_the_message_got_lost(office: Office) -> None:
    await office.actions.read_everybody()
    office.queues.take()
    assert await office.applier.notice(await office.configured())
    await office.work()
    assert office.exchange.count("read") == 2


async def test_who_is_excluded_shows_nothing_any_more(office: Office) -> None:
    await office.actions.exclude(ANNA, True)
    await office.work()
    assert office.pbx.presences[ANNA] == ("", "")
    assert office.pbx.presences[BERTA][1].startswith("Lunch")
    user = await office.find(ANNA)
    assert (user.excluded, user.subscription, user.mailbox) == (True, None, "")
    assert await office.agendas.get(ANNA) is None
    await office.actions.exclude(ANNA, True)
    await office.actions.read_everybody()
    await office.work()
    assert [told.guid for told in office.pbx.told].count(ANNA) == 2, "shown once, cleared once"
    assert office.exchange.asked == [("read", "berta@example.com")]


async def test_who_is_included_again_shows_again(office: Office) -> None:
    await office.actions.exclude(ANNA, True)
    await office.work()
    await office.actions.exclude(ANNA, False)
    await office.work()
    assert office.pbx.presences[ANNA][1].startswith("Lunch")
    assert (await office.find(ANNA)).subscription is not None


async def test_who_is_excluded_while_they_are_presented_shows_nothing(office: Office) -> None:
    """The reading has stored its agenda when the exclusion clears the presence."""
    schedule = office.presenter.agendas.save

    async def save(guid: str, agenda: object) -> object:
        stored = await schedule(guid, agenda)  # type: ignore[arg-type]
        await office.actions.exclude(ANNA, True)
        return stored

    office.presenter.agendas.save = save  # type: ignore[method-assign,assignment]
    await office.read(ANNA)
    await office.work()
    assert office.pbx.presences[ANNA] == ("", "")
    assert await office.agendas.get(ANNA) is None


async def test_nobody_can_be_excluded_who_is_not_there(office: Office) -> None:
    with pytest.raises(StateConflict):
        await office.actions.exclude("f" * 32, True)


async def test_a_cleared_presence_stays_cleared_until_the_next_reading(office: Office) -> None:
    assert await office.actions.clear(ANNA)
    await office.work()
    assert office.pbx.presences[ANNA] == ("", "")
    assert not await office.actions.clear(ANNA), "nothing is left to be cleared"
    await office.presenter.present_again(person("anna"), office.rules)
    await office.work()
    assert office.pbx.presences[ANNA] == ("", "")
    await office.actions.read_again(ANNA)
    await office.work()
    assert office.pbx.presences[ANNA][1].startswith("Lunch")
