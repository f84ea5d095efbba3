"""The table ``listing``: users by name and by user name, to be searched and shown page by page.

It is packed (see `shared.state.leaves`), for a record a word would cost more than the user's own. Each
replication of the PBX's users compares it with them and writes what differs: whatever a killed run left
undone is put right by the next. Its entries are hints: a page shows only users whose own record says so.
Which state users are in is read from their records alone, thus changes of state write nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched

from shared.model import CalendarUser, User
from shared.state.leaves import (
    Entry,
    Sort,
    find_changes,
    find_user_words,
    find_words,
    make_entry,
    make_leaves,
    read_leaf,
)
from shared.state.outbox import Outbox
from shared.state.storage import Operation, Storage
from shared.state.users import UserState, UserStore
from shared.sync.interfaces import PARTITIONS

PAGE = 50
"""Users on a page."""

_TOGETHER = 40
"""Leaves in one transaction: far below the 4 MiB it may have."""

_FEW = 60
"""Users of a state in one of the 16 partitions up to which they are all read, and nothing else is."""

_MANY = 600
"""Users of a state in one partition from which on they are looked for where the page is."""

_READ_AT_MOST = 1_000
"""Users whose records are read for one page; who is then still missing is left for the next."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some users, and where the next page begins: None at the end.

    A page with a ``next`` may have fewer users than asked for, even none, where few of very many match.
    """

    users: tuple[CalendarUser, ...]
    next: str | None


class Listing:
    """Searches users and lists them."""

    def __init__(self, storage: Storage, users: UserStore) -> None:
        self._table = storage.table("listing")
        self._users = users
        self._presences = Outbox(storage)

    async def page(
        self,
        query: str = "",
        state: UserState = UserState.ALL,
        sort: Sort = Sort.NAME,
        after: str = "",
        limit: int = PAGE,
    ) -> Page:
        """Users in this state who have, for each word of the query, a word that begins with it.

        ``after`` is the ``next`` of the page before, or empty. Case and accents make no difference.
        """
        terms = find_words(query)
        members = await self._find_members(state)
        if isinstance(members, list):
            return _cut(members, terms, sort, after, limit)
        found: list[CalendarUser] = []
        position, read = after, 0
        async for candidates in self._candidates(terms, members, sort, after, limit + 1):
            known = await asyncio.gather(*(self._users.get(entry.guid) for entry in candidates))
            for entry, user in zip(candidates, known, strict=True):
                if user is not None and not user.leaving and state.includes(user) and _shows(user, terms):
                    if len(found) == limit:
                        return Page(tuple(found), position)
                    found.append(user)
                position = entry.key
            read += len(candidates)
            if read >= _READ_AT_MOST:
                return Page(tuple(found), position)
        return Page(tuple(found), None)

    async def export(self, state: UserState = UserState.ALL, query: str = "") -> AsyncIterator[CalendarUser]:
        """All users in this state who match the query, in the order of their guids."""
        terms = find_words(query)
        if state is UserState.REFUSED:
            for user in sorted(await self._find_refused(), key=lambda user: user.user.guid):
                if not user.leaving and _shows(user, terms):
                    yield user
            return
        for partition in PARTITIONS:
            async for user in self._users.in_state(partition, state):
                if not user.leaving and _shows(user, terms):
                    yield user

    async def store(self, users: Sequence[User]) -> int:
        """Have exactly these users listed; return how many records that changed."""
        changed = 0
        for sort in Sort:
            before = {
                row["RowKey"]: row["entries"]
                async for row in self._table.query(_partition(sort), select=["RowKey", "entries"])
            }
            # In a thread: notifications must not wait for a hundred thousand names.
            after = await asyncio.to_thread(_pack, users, sort)
            written, deleted = find_changes(before, after)
            steps: list[Operation] = [
                ("upsert", {"PartitionKey": sort.value, "RowKey": name, "entries": text})
                for name, text in written.items()
            ]
            # In this order whoever moves from one leaf to another is found at every moment: a leaf goes only
            # when no other one that goes as well lies between it and the one that has its entries now.
            steps += [("delete", {"PartitionKey": sort.value, "RowKey": name}) for name in reversed(deleted)]
            for group in batched(steps, _TOGETHER, strict=False):
                await self._table.transact(group)
            changed += len(steps)
        return changed

    async def _find_members(self, state: UserState) -> list[CalendarUser] | frozenset[str] | None:
        """All users in a state where they are few, the guids of more, or None where those are too many."""
        if state is UserState.ALL:
            return None
        if state is UserState.REFUSED:
            return await self._find_refused()
        # Guids are random: what is few in one partition is few in all.
        first = await self._find_guids(PARTITIONS[0], state)
        if len(first) == _MANY:
            return None
        if len(first) <= _FEW:
            return await self._read_all(state)
        others = await asyncio.gather(*(self._find_guids(each, state) for each in PARTITIONS[1:]))
        if any(len(part) == _MANY for part in others):
            return None
        return frozenset(first).union(*others)

    async def _find_refused(self) -> list[CalendarUser]:
        known = await self._users.get_many(await self._presences.refused())
        return [user for user in known.values() if UserState.REFUSED.includes(user)]

    async def _find_guids(self, partition: str, state: UserState) -> list[str]:
        return [guid async for guid in self._users.guids_in_state(partition, state, _MANY)]

    async def _read_all(self, state: UserState) -> list[CalendarUser] | None:
        """All users in a state, or None where they are many after all."""

        async def read(partition: str) -> list[CalendarUser]:
            users = []
            async for user in self._users.in_state(partition, state):
                users.append(user)
                if len(users) == _MANY:
                    break
            return users

        parts = await asyncio.gather(*map(read, PARTITIONS))
        return (
            None if any(len(part) == _MANY for part in parts) else [user for part in parts for user in part]
        )

    async def _candidates(
        self, terms: Sequence[str], members: frozenset[str] | None, sort: Sort, after: str, size: int
    ) -> AsyncIterator[list[Entry]]:
        """Groups of ``size`` entries behind ``after`` that may match, in order; the last one is smaller."""
        group: list[Entry] = []
        async for entry in self._entries(sort, after):
            if (members is None or entry.guid in members) and entry.matches(terms):
                group.append(entry)
                if len(group) == size:
                    yield group
                    group = []
        if group:
            yield group

    async def _entries(self, sort: Sort, after: str) -> AsyncIterator[Entry]:
        """The entries behind a key, in order. It asks for few leaves first, then for more and more."""
        position, leaf, leaves = after, after, 4
        while True:
            count = 0
            condition = f"{_partition(sort)} and RowKey gt '{_quote(leaf)}'"
            async for row in self._table.query(condition, limit=leaves):
                count += 1
                leaf = row["RowKey"]
                for entry in read_leaf(row["entries"]):
                    # While leaves are being written an entry may be in two.
                    if entry.key > position:
                        position = entry.key
                        yield entry
            if count < leaves:
                return
            leaves = min(leaves * 4, 256)


def _pack(users: Iterable[User], sort: Sort) -> dict[str, str]:
    return make_leaves(make_entry(user, sort) for user in users)


def _partition(sort: Sort) -> str:
    return f"PartitionKey eq '{sort.value}'"


def _quote(text: str) -> str:
    return text.replace("'", "''")


def _cut(users: Iterable[CalendarUser], terms: Sequence[str], sort: Sort, after: str, limit: int) -> Page:
    """The page of those who match, when everybody in question is at hand."""
    keyed = {
        make_entry(user.user, sort).key: user for user in users if not user.leaving and _shows(user, terms)
    }
    behind = sorted(key for key in keyed if key > after)
    shown = behind[:limit]
    following = shown[-1] if len(behind) > limit else None
    return Page(tuple(keyed[key] for key in shown), following)


def _shows(user: CalendarUser, terms: Iterable[str]) -> bool:
    return Entry("", find_user_words(user.user)).matches(terms)
