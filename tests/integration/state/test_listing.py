"""The listing shows, page by page, exactly the users that a plain list in memory would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.model import Activity, CalendarUser, Failure, MailboxState, Presence, User
from shared.state import leaves
from shared.state import listing as module
from shared.state.leaves import Sort, find_words
from shared.state.listing import Listing
from shared.state.outbox import Outbox
from shared.state.storage import Operation, Storage
from shared.state.users import UserState, UserStore
from tests.storage import empty, environment_of

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAILURE = Failure("ErrorAccessDenied", "Exchange denies it.", NOW, 1, None)


def make_user(number: int, name: str, sip: str = "", *emails: str) -> User:
    return User(f"{number % 16:x}{number:031x}", sip or f"user{number}", name, name, emails)


@pytest.fixture
def users(storage: Storage) -> UserStore:
    return UserStore(storage)


@pytest.fixture
def listing(storage: Storage, users: UserStore) -> Listing:
    return Listing(storage, users)


async def show(listing: Listing, *people: User) -> None:
    await listing._users.add_all([(user, ()) for user in people])
    await listing.store(people)


async def browse(
    listing: Listing,
    query: str = "",
    state: UserState = UserState.ALL,
    sort: Sort = Sort.NAME,
    limit: int = 50,
) -> list[list[CalendarUser]]:
    """All pages, the last of which may be empty."""
    pages = []
    after: str | None = ""
    while after is not None:
        page = await listing.page(query, state, sort, after, limit)
        assert len(page.users) <= limit
        pages.append(list(page.users))
        after = page.next
    return pages


def names(users: Sequence[CalendarUser]) -> list[str]:
    return [known.user.display_name for known in users]


async def test_nobody_is_one_empty_page(listing: Listing) -> None:
    assert await browse(listing) == [[]]


async def test_users_come_sorted_page_by_page(listing: Listing) -> None:
    people = [make_user(number, f"Person {number * 7 % 120:03}") for number in range(120)]
    await show(listing, *people)
    pages = await browse(listing)
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [name for page in pages for name in names(page)] == [f"Person {n:03}" for n in range(120)]
    by_user_name = [known.user.sip for page in await browse(listing, sort=Sort.USER) for known in page]
    assert by_user_name == sorted(user.sip for user in people)


async def test_a_page_that_is_just_full_is_the_last(listing: Listing) -> None:
    await show(listing, *(make_user(number, "Anna") for number in range(4)))
    assert [len(page) for page in await browse(listing, limit=2)] == [2, 2]


async def test_all_words_of_the_query_must_begin_a_word(listing: Listing) -> None:
    anna = make_user(1, "Anna Weiß", "aweiss", "anna.weiss@example.com")
    await show(listing, anna, make_user(2, "Anna Schmidt"), make_user(3, "Élodie Weiss"))
    for query, found in {
        "anna": ["Anna Schmidt", "Anna Weiß"],
        "WEISS": ["Anna Weiß", "Élodie Weiss"],
        "wei an": ["Anna Weiß"],
        "elo": ["Élodie Weiss"],
        "Anna.Weiss@example.com": ["Anna Weiß"],
        "aweiss": ["Anna Weiß"],
        "eiss": [],
        " ": ["Anna Schmidt", "Anna Weiß", "Élodie Weiss"],
    }.items():
        assert names((await listing.page(query)).users) == found, query


async def refuse(storage: Storage, *refused: User) -> None:
    """Have the PBX refuse these users' presences."""
    outbox = Outbox(storage)
    for user in refused:
        await outbox.put(user.guid, user.sip, "1", Presence(Activity.BUSY, "Busy", NOW))
    for pending in await outbox.take(NOW, 100):
        await outbox.refuse(pending, "error 7", NOW)


async def test_each_state_shows_its_users(listing: Listing, users: UserStore, storage: Storage) -> None:
    people = [make_user(n, name) for n, name in enumerate(["new", "found", "none", "failing", "excluded"])]
    await show(listing, *people)
    for user, state in zip(people[1:], ["FOUND", "NONE", "FOUND", "FOUND"], strict=True):
        await users.set_mailbox(user.guid, MailboxState[state])
    await users.set_failure(people[3].guid, FAILURE)
    await users.set_failure(people[4].guid, FAILURE)
    await users.exclude(people[4].guid)
    await refuse(storage, people[1], people[4])
    expected = {
        UserState.ALL: ["excluded", "failing", "found", "new", "none"],
        UserState.WITH_MAILBOX: ["failing", "found"],
        UserState.WITHOUT_MAILBOX: ["none"],
        UserState.UNRESOLVED: ["new"],
        UserState.FAILING: ["failing"],
        UserState.REFUSED: ["found"],
        UserState.EXCLUDED: ["excluded"],
    }
    for state, shown in expected.items():
        assert names((await listing.page(state=state)).users) == shown
        exported = [known async for known in listing.export(state)]
        assert sorted(names(exported)) == shown


class TestStale:
    """What the listing says is shown only where the user's record says so too."""

    async def test_who_is_gone_or_leaving_is_not_shown(self, listing: Listing, users: UserStore) -> None:
        people = [make_user(n, f"Anna {n}") for n in range(4)]
        await show(listing, *people)
        await users.remove(people[1].guid)
        await users.set_leaving(people[2].guid)
        assert [names(page) for page in await browse(listing, "anna", limit=1)] == [["Anna 0"], ["Anna 3"]]
        assert names([known async for known in listing.export()]) == ["Anna 0", "Anna 3"]

    async def test_who_is_renamed_is_found_by_the_new_name_after_the_next_comparison(
        self, listing: Listing, users: UserStore
    ) -> None:
        anna, bernd = make_user(1, "Anna Schmidt"), make_user(2, "Bernd")
        await show(listing, anna, bernd)
        married = replace(anna, display_name="Anna Weiß", common_name="Anna Weiß")
        await users.update(married, (), resolve_again=False)
        assert names((await listing.page("schmidt")).users) == []
        assert names((await listing.page("anna")).users) == ["Anna Weiß"]
        assert await listing.store([married, bernd]) == 2
        assert names((await listing.page("weiß")).users) == ["Anna Weiß"]
        assert names((await listing.page()).users) == ["Anna Weiß", "Bernd"]


class TestWriting:
    """Many small leaves, written one by one."""

    PEOPLE = tuple(make_user(n, f"Person {n * 7919 % 1000:03}") for n in range(200))

    @pytest.fixture(autouse=True)
    async def small(self, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leaves, "_ONE_IN", 4)
        monkeypatch.setattr(module, "_TOGETHER", 1)
        await listing.store(self.PEOPLE)

    async def listed(self, listing: Listing) -> list[str]:
        return [entry.guid async for entry in listing._entries(Sort.NAME, "")]

    @pytest.mark.parametrize("kept", [(0,), (1, 2), (0, 1, 2, 3)])
    async def test_whoever_stays_is_found_once_at_every_moment(
        self, listing: Listing, monkeypatch: pytest.MonkeyPatch, kept: tuple[int, ...]
    ) -> None:
        transact = listing._table.transact
        staying: set[str] = set()

        async def observed(steps: Sequence[Operation]) -> object:
            answer = await transact(steps)
            found = await self.listed(listing)
            assert staying <= set(found)
            assert found == list(dict.fromkeys(found))
            return answer

        monkeypatch.setattr(listing._table, "transact", observed)
        fewer = [user for n, user in enumerate(self.PEOPLE) if n % 5 in kept]
        staying |= {user.guid for user in fewer}
        assert await listing.store(fewer) > 20
        assert set(await self.listed(listing)) == staying
        assert await listing.store(self.PEOPLE) > 20
        assert len(await self.listed(listing)) == len(self.PEOPLE)

    async def test_what_a_killed_run_left_undone_is_done_by_the_next(
        self, listing: Listing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        transact = listing._table.transact
        left = 7

        async def killed(steps: Sequence[Operation]) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError("killed")
            return await transact(steps)

        monkeypatch.setattr(listing._table, "transact", killed)
        with pytest.raises(OSError, match="killed"):
            await listing.store(self.PEOPLE[::2])
        left = 1000
        assert await listing.store(self.PEOPLE) == 7
        assert len(await self.listed(listing)) == len(self.PEOPLE)
        assert await listing.store(self.PEOPLE) == 0


class TestMany:
    """Where a state has very many users the listing is gone through, and so many are read for a page."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_READ_AT_MOST", 20)

    async def browse(
        self, listing: Listing, users: UserStore, partition: int = 0
    ) -> list[list[CalendarUser]]:
        people = [make_user(16 * n + partition, f"Person {n:03}") for n in range(90)]
        await show(listing, *people)
        for user in people[60:70]:
            await users.set_mailbox(user.guid, MailboxState.NONE)
        pages = await browse(listing, state=UserState.WITHOUT_MAILBOX, limit=4)
        assert [name for page in pages for name in names(page)] == [f"Person {n:03}" for n in range(60, 70)]
        return pages

    @pytest.mark.parametrize("partition", [0, 1])
    async def test_all_are_shown(
        self, listing: Listing, users: UserStore, partition: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MANY", 3)
        pages = await self.browse(listing, users, partition)
        assert pages[0] == [], "it does not read everybody for one page"

    @pytest.mark.parametrize("few", [0, 60])
    async def test_fewer_are_found_at_once(
        self, listing: Listing, users: UserStore, few: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_FEW", few)
        pages = await self.browse(listing, users)
        assert [len(page) for page in pages] == [4, 4, 2]


WORDS = st.sampled_from(
    ["anna", "Anna", "ANNEMARIE", "weiß", "Weiss", "Élodie", "Жанна", "o'neill", "42", "-"]
)
PEOPLE = st.lists(
    st.tuples(
        st.lists(WORDS, max_size=3).map(" ".join),
        st.lists(WORDS, max_size=2).map(".".join),
        st.sampled_from(list(MailboxState)),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)
QUERIES = st.lists(
    st.sampled_from(["a", "an", "WEIS", "elo", "ж", "neill", "o", "4", "xyz", "."]), max_size=2
)


@pytest.fixture(scope="module")
def account(azurite: str) -> Iterator[tuple[asyncio.Runner, Storage]]:
    """A storage account that keeps its connections over the examples of a property."""

    async def open_account() -> Storage:
        storage = Storage.open(environment_of(azurite))
        await storage.create()
        return storage

    with asyncio.Runner() as runner:
        storage = runner.run(open_account())
        yield runner, storage
        runner.run(storage.close())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=PEOPLE,
    query=QUERIES.map(" ".join),
    state=st.sampled_from(list(UserState)),
    sort=st.sampled_from(list(Sort)),
    limit=st.integers(1, 5),
)
def test_pages_are_what_a_list_in_memory_gives(
    account: tuple[asyncio.Runner, Storage],
    people: list[tuple[str, str, MailboxState, bool, bool]],
    query: str,
    state: UserState,
    sort: Sort,
    limit: int,
) -> None:
    runner, storage = account

    async def compare() -> None:
        await empty(storage)
        users = UserStore(storage)
        listing = Listing(storage, users)
        model: list[CalendarUser] = []
        for number, (name, sip, mailbox, failing, excluded) in enumerate(people):
            user = make_user(number * 5, name, sip)
            await users.add(user, ())
            if excluded:
                await users.exclude(user.guid)
            await users.set_mailbox(user.guid, mailbox)
            if failing:
                await users.set_failure(user.guid, FAILURE)
                await refuse(storage, user)
            model.append(
                CalendarUser(
                    user,
                    excluded=excluded,
                    clearing=excluded,
                    mailbox_state=mailbox,
                    failure=FAILURE if failing else None,
                )
            )
        await listing.store([known.user for known in model])
        pages = await browse(listing, query, state, sort, limit)
        wanted = [known for known in model if _is_in(known, state) and _is_found(known.user, query)]
        wanted.sort(key=lambda known: (_sorted_by(known.user, sort), known.user.guid))
        assert [known for page in pages for known in page] == wanted
        assert all(len(page) == limit for page in pages[:-1])
        exported = [known async for known in listing.export(state)]
        assert sorted(exported, key=lambda known: known.user.guid) == [
            known for known in sorted(model, key=lambda known: known.user.guid) if _is_in(known, state)
        ]

    runner.run(compare())


def _is_in(known: CalendarUser, state: UserState) -> bool:
    if state in (UserState.ALL, UserState.EXCLUDED):
        return state is UserState.ALL or known.excluded
    if known.excluded:
        return False
    return {
        UserState.WITH_MAILBOX: known.mailbox_state is MailboxState.FOUND,
        UserState.WITHOUT_MAILBOX: known.mailbox_state is MailboxState.NONE,
        UserState.UNRESOLVED: known.mailbox_state is MailboxState.UNRESOLVED,
        UserState.FAILING: known.failure is not None,
        UserState.REFUSED: known.failure is not None,
    }[state]


def _is_found(user: User, query: str) -> bool:
    words = find_words(f"{user.display_name} {user.common_name} {user.sip}")
    return all(any(word.startswith(term) for word in words) for term in find_words(query))


def _sorted_by(user: User, sort: Sort) -> list[str]:
    return list(find_words(user.sip if sort is Sort.USER or not user.display_name else user.display_name))
