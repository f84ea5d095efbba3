"""Users: three groups of properties with a writer each, and who has been neglected."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import StateConflict
from shared.model import CalendarUser, Failure, MailboxState, Subscription, User
from shared.state.storage import Storage
from shared.state.users import UserStore

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
ANNA = User(
    guid="a" * 32,
    sip="anna",
    common_name="Anna Weiß",
    display_name="Anna",
    emails=("anna@example.com", "a.weiss@example.com"),
    location="Berlin",
    groups=("sales", "all"),
    apps=("calendar",),
)
BERND = User("b" * 32, "bernd")
CANDIDATES = ("anna@example.com", "anna@pbx.example.com")
SUBSCRIPTION = Subscription("S/1+=", NOW - HOUR, NOW)
FAILURE = Failure("ErrorAccessDenied", "Exchange denies it.", NOW - HOUR, 3, NOW + HOUR)


@pytest.fixture
def users(storage: Storage) -> UserStore:
    return UserStore(storage)


async def find(users: UserStore, user: User = ANNA) -> CalendarUser:
    found = await users.get(user.guid)
    assert found is not None
    return found


async def complete(users: UserStore) -> CalendarUser:
    """Anna with everything that can be known of her."""
    guid = ANNA.guid
    await users.add(ANNA, CANDIDATES)
    await users.set_mailbox(guid, MailboxState.FOUND, "anna@example.com")
    await users.set_subscription(guid, SUBSCRIPTION)
    await users.set_read_requested(guid, NOW)
    await users.set_failure(guid, FAILURE)
    return await find(users)


async def test_who_is_not_known_is_none(users: UserStore) -> None:
    assert await users.get(ANNA.guid) is None


async def test_a_new_user_waits_for_everything(users: UserStore) -> None:
    await users.add(ANNA, CANDIDATES)
    found = await find(users)
    assert found == CalendarUser(ANNA, CANDIDATES)
    assert found.is_active


async def test_every_field_comes_back(users: UserStore) -> None:
    assert await complete(users) == CalendarUser(
        user=ANNA,
        candidates=CANDIDATES,
        mailbox="anna@example.com",
        mailbox_state=MailboxState.FOUND,
        subscription=SUBSCRIPTION,
        read_requested_at=NOW,
        failure=FAILURE,
    )


async def test_that_a_subscription_is_asked_for_is_noted_until_the_mailbox_is_another(
    users: UserStore,
) -> None:
    await users.add(ANNA, CANDIDATES)
    await users.begin_subscribing(ANNA.guid, "anna@example.com", NOW)
    assert (await find(users)).subscribing_since == NOW
    for subscription in (SUBSCRIPTION, None):
        await users.set_subscription(ANNA.guid, subscription)
        assert (await find(users)).subscribing_since == NOW, "another worker may be asking"
    await users.update(ANNA, ("new@example.com",), resolve_again=True)
    assert (await find(users)).subscribing_since is None


async def test_a_sign_of_life_changes_nothing_else(users: UserStore) -> None:
    before = await complete(users)
    await users.set_last_sign(ANNA.guid, NOW + HOUR)
    assert await find(users) == replace(before, subscription=replace(SUBSCRIPTION, last_sign=NOW + HOUR))


async def test_what_is_cleared_is_gone_and_all_else_stays(users: UserStore) -> None:
    known = await complete(users)
    await users.set_subscription(ANNA.guid, None)
    known = replace(known, subscription=None)
    assert await find(users) == known
    await users.set_read_requested(ANNA.guid, None)
    known = replace(known, read_requested_at=None)
    assert await find(users) == known
    await users.set_failure(ANNA.guid, None)
    assert await find(users) == replace(known, failure=None)


async def test_a_failure_may_have_no_repeat(users: UserStore) -> None:
    await users.add(ANNA, CANDIDATES)
    await users.set_failure(ANNA.guid, replace(FAILURE, retry_at=None))
    assert (await find(users)).failure == replace(FAILURE, retry_at=None)


async def test_writers_at_the_same_time_do_not_overwrite_each_other(users: UserStore) -> None:
    await users.add(ANNA, CANDIDATES)
    renamed = replace(ANNA, display_name="Anna W.")
    guid = ANNA.guid
    await asyncio.gather(
        users.update(renamed, CANDIDATES, resolve_again=False),
        users.set_mailbox(guid, MailboxState.FOUND, "anna@example.com"),
        users.set_subscription(guid, SUBSCRIPTION),
        users.set_read_requested(guid, NOW),
        users.set_failure(guid, FAILURE),
    )
    assert await find(users) == CalendarUser(
        renamed,
        CANDIDATES,
        mailbox="anna@example.com",
        mailbox_state=MailboxState.FOUND,
        subscription=SUBSCRIPTION,
        read_requested_at=NOW,
        failure=FAILURE,
    )


async def test_what_the_pbx_changes_leaves_mailbox_and_subscription(users: UserStore) -> None:
    before = await complete(users)
    renamed = replace(ANNA, sip="anna.weiss", emails=(), groups=())
    await users.update(renamed, CANDIDATES, resolve_again=False)
    assert await find(users) == replace(before, user=renamed)


async def test_other_addresses_forget_mailbox_and_subscription(users: UserStore) -> None:
    before = await complete(users)
    await users.begin_subscribing(ANNA.guid, "anna@example.com", NOW)
    await users.update(ANNA, ("new@example.com",), resolve_again=True)
    assert await find(users) == replace(
        before,
        candidates=("new@example.com",),
        mailbox="",
        mailbox_state=MailboxState.UNRESOLVED,
        subscription=None,
    )


async def test_who_returns_while_leaving_begins_anew(users: UserStore) -> None:
    """The agenda is gone already: no former mailbox or subscription may keep it from being read."""
    await complete(users)
    await users.set_leaving(ANNA.guid)
    assert not (await find(users)).is_active
    await users.add(ANNA, CANDIDATES)
    found = await find(users)
    assert found.is_active
    assert (found.mailbox, found.mailbox_state) == ("", MailboxState.UNRESOLVED)
    assert found.subscription is None
    assert found.failure is None
    assert found.read_requested_at is None


CHANGES: dict[str, Callable[[UserStore, str], Awaitable[None]]] = {
    "update": lambda users, guid: users.update(replace(ANNA, guid=guid), (), resolve_again=False),
    "leaving": lambda users, guid: users.set_leaving(guid),
    "mailbox": lambda users, guid: users.set_mailbox(guid, MailboxState.NONE),
    "subscribing": lambda users, guid: users.begin_subscribing(guid, "", NOW),
    "subscription": lambda users, guid: users.set_subscription(guid, SUBSCRIPTION),
    "no subscription": lambda users, guid: users.set_subscription(guid, None),
    "sign": lambda users, guid: users.set_last_sign(guid, NOW),
    "reading": lambda users, guid: users.set_read_requested(guid, NOW),
    "failure": lambda users, guid: users.set_failure(guid, FAILURE),
    "subscription failure": lambda users, guid: users.set_subscription_failure(guid, FAILURE),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_nobody_who_is_gone_comes_back_by_a_change(users: UserStore, change: str) -> None:
    await complete(users)
    for _ in range(2):
        await users.remove(ANNA.guid)
    with pytest.raises(StateConflict):
        await CHANGES[change](users, ANNA.guid)
    assert await users.get(ANNA.guid) is None


async def test_everybody_comes_in_the_order_of_the_guids(users: UserStore) -> None:
    guids = [digit + other * 31 for digit in "f07a" for other in "30"]
    for guid in guids:
        await users.add(User(guid, f"user {guid[:2]}"), ())
    assert [known.user.guid async for known in users.everybody()] == sorted(guids)
    assert [known.user.guid async for known in users.in_partition("7")] == ["7" + "0" * 31, "7" + "3" * 31]


class TestNeglected:
    """A user is neglected who had no sign of life for long, or whose reading or retry is overdue."""

    SILENT_BEFORE = NOW - HOUR
    OVERDUE_BEFORE = NOW - HOUR / 12

    async def is_neglected(self, users: UserStore) -> bool:
        found = users.neglected(silent_before=self.SILENT_BEFORE, overdue_before=self.OVERDUE_BEFORE)
        return ANNA.guid in [known.user.guid async for known in found]

    @pytest.fixture(autouse=True)
    async def contented(self, users: UserStore) -> None:
        """Anna lacks nothing; Bernd has just been added and lacks everything."""
        await users.add(ANNA, CANDIDATES)
        await users.set_mailbox(ANNA.guid, MailboxState.FOUND, "anna@example.com")
        await users.set_subscription(ANNA.guid, SUBSCRIPTION)
        await users.add(BERND, ())

    async def test_who_lacks_nothing_is_not(self, users: UserStore) -> None:
        assert not await self.is_neglected(users)
        await users.set_read_requested(ANNA.guid, None)
        await users.set_failure(ANNA.guid, None)
        assert not await self.is_neglected(users)

    async def test_who_was_just_added_is(self, users: UserStore) -> None:
        found = users.neglected(silent_before=self.SILENT_BEFORE, overdue_before=self.OVERDUE_BEFORE)
        assert [known.user.guid async for known in found] == [BERND.guid]

    async def test_whose_subscription_ended_is(self, users: UserStore) -> None:
        await users.set_subscription(ANNA.guid, None)
        assert await self.is_neglected(users)

    async def test_who_is_silent_for_too_long_is(self, users: UserStore) -> None:
        await users.set_last_sign(ANNA.guid, self.SILENT_BEFORE)
        assert not await self.is_neglected(users)
        await users.set_last_sign(ANNA.guid, self.SILENT_BEFORE - SECOND)
        assert await self.is_neglected(users)

    async def test_who_has_no_mailbox_is_not(self, users: UserStore) -> None:
        await users.set_subscription(ANNA.guid, None)
        await users.set_mailbox(ANNA.guid, MailboxState.NONE)
        assert not await self.is_neglected(users)

    async def test_whose_reading_was_asked_for_long_ago_is(self, users: UserStore) -> None:
        await users.set_read_requested(ANNA.guid, self.OVERDUE_BEFORE)
        assert not await self.is_neglected(users)
        await users.set_read_requested(ANNA.guid, self.OVERDUE_BEFORE - SECOND)
        assert await self.is_neglected(users)

    async def test_whose_retry_is_overdue_is(self, users: UserStore) -> None:
        await users.set_failure(ANNA.guid, replace(FAILURE, retry_at=self.OVERDUE_BEFORE))
        assert not await self.is_neglected(users)
        await users.set_failure(ANNA.guid, replace(FAILURE, retry_at=self.OVERDUE_BEFORE - SECOND))
        assert await self.is_neglected(users)
        await users.set_mailbox(ANNA.guid, MailboxState.NONE)
        assert await self.is_neglected(users)

    async def test_whose_failure_has_no_repeat_is_not(self, users: UserStore) -> None:
        await users.set_failure(ANNA.guid, replace(FAILURE, retry_at=None))
        assert not await self.is_neglected(users)


async def test_whose_exclusion_was_broken_off_is_neglected(users: UserStore) -> None:
    now = FAILURE.since
    await users.add(ANNA, CANDIDATES)
    await users.set_mailbox(ANNA.guid, MailboxState.NONE)

    async def neglected() -> list[CalendarUser]:
        return [user async for user in users.neglected(silent_before=now, overdue_before=now)]

    assert await neglected() == []
    await users.exclude(ANNA.guid)
    await users.set_mailbox(ANNA.guid, MailboxState.NONE)
    assert [user.clearing for user in await neglected()] == [True]
    await users.set_cleared(ANNA.guid)
    assert await neglected() == []


async def test_of_who_is_excluded_only_what_the_directory_said_is_kept(users: UserStore) -> None:
    await complete(users)
    await users.exclude(ANNA.guid)
    known = CalendarUser(ANNA, CANDIDATES)
    assert await find(users) == replace(known, excluded=True, clearing=True)
    await users.set_cleared(ANNA.guid)
    assert await find(users) == replace(known, excluded=True)
    await users.exclude(ANNA.guid)
    await users.include(ANNA.guid)
    assert await find(users) == known
    with pytest.raises(StateConflict):
        await users.exclude(BERND.guid)


async def test_all_that_exchange_said_can_be_forgotten(users: UserStore) -> None:
    await complete(users)
    await users.set_subscription_failure(ANNA.guid, FAILURE)
    await users.forget_mailbox(ANNA.guid)
    assert await find(users) == CalendarUser(ANNA, CANDIDATES)
