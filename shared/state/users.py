"""The table ``users``: one record a PBX user, in three groups of properties with a writer each.

The directory writes what the PBX says, the mailbox and subscription upkeep what Exchange says, the workers
the marks of work and failure. Each writer merges its own properties only, so none overwrites another's.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime
from enum import StrEnum
from itertools import batched
from typing import Any

from azure.data.tables import TableEntity

from shared.model import CalendarUser, Failure, MailboxState, Subscription, User
from shared.state.storage import (
    TRANSACTION_LIMIT,
    Operation,
    Storage,
    partition_of,
    read_instant,
    write_instant,
)
from shared.sync.interfaces import PARTITIONS, Change

_NO_MAILBOX = {"mailbox": "", "mailbox_state": MailboxState.UNRESOLVED.value, "subscribing_since": ""}
_NO_SUBSCRIPTION = {"subscription_id": "", "subscribed_at": "", "last_sign": ""}
_NO_READ_FAILURE = {
    "failure_code": "",
    "failure_text": "",
    "failed_since": "",
    "failed_attempts": 0,
    "retry_at": "",
}
_NO_SUBSCRIPTION_FAILURE = {f"subscription_{name}": value for name, value in _NO_READ_FAILURE.items()}
_NO_FAILURE = _NO_READ_FAILURE | _NO_SUBSCRIPTION_FAILURE
_NO_WORK = {"read_requested_at": ""}
_NOTHING_OF_EXCHANGE = _NO_MAILBOX | _NO_SUBSCRIPTION | _NO_FAILURE | _NO_WORK
_ARRIVED = {"leaving": False} | _NOTHING_OF_EXCHANGE


class UserState(StrEnum):
    """What users are listed by. Who is excluded is in no other but *all*; who is failing may be in one."""

    ALL = "all"
    WITH_MAILBOX = "with_mailbox"
    WITHOUT_MAILBOX = "without_mailbox"
    UNRESOLVED = "unresolved"
    FAILING = "failing"
    REFUSED = "refused"
    EXCLUDED = "excluded"

    def includes(self, user: CalendarUser) -> bool:
        """Whether a user is in this state; of whom the PBX refuses, whether that matters."""
        match self:
            case UserState.ALL:
                return True
            case UserState.REFUSED:
                return not user.excluded
            case UserState.EXCLUDED:
                return user.excluded
            case UserState.FAILING:
                return not user.excluded and (user.failure or user.subscription_failure) is not None
            case _:
                return not user.excluded and user.mailbox_state is _MAILBOX_STATES[self]


_MAILBOX_STATES = {
    UserState.WITH_MAILBOX: MailboxState.FOUND,
    UserState.WITHOUT_MAILBOX: MailboxState.NONE,
    UserState.UNRESOLVED: MailboxState.UNRESOLVED,
}


class UserStore:
    """The users this service knows. Changing a user who is gone raises StateConflict."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("users")

    async def get(self, guid: str) -> CalendarUser | None:
        """One user, or None."""
        entity = await self._table.get(partition_of(guid), guid)
        return _read(entity) if entity else None

    async def get_many(self, guids: Collection[str]) -> dict[str, CalendarUser]:
        """Those of these users who are known."""
        entities = await self._table.get_by_guid(guids)
        return {guid: _read(entity) for guid, entity in entities.items()}

    async def everybody(self) -> AsyncIterator[CalendarUser]:
        """All users, in the order of their guids."""
        for partition in PARTITIONS:
            async for user in self.in_partition(partition):
                yield user

    async def in_partition(self, partition: str) -> AsyncIterator[CalendarUser]:
        """The users of one of the 16 partitions, in the order of their guids."""
        async for entity in self._table.query(f"PartitionKey eq '{partition}'"):
            yield _read(entity)

    async def in_state(self, partition: str, state: UserState) -> AsyncIterator[CalendarUser]:
        """The users of a partition who are in this state, in the order of their guids."""
        async for entity in self._table.query(_may_be(partition, state)):
            user = _read(entity)
            if state.includes(user):
                yield user

    async def guids_in_state(self, partition: str, state: UserState, limit: int) -> AsyncIterator[str]:
        """The guids of up to ``limit`` users of a partition who may be in this state, and of all who are."""
        async for entity in self._table.query(_may_be(partition, state), select=["RowKey"], limit=limit):
            yield entity["RowKey"]

    async def neglected(
        self, *, silent_before: datetime, overdue_before: datetime
    ) -> AsyncIterator[CalendarUser]:
        """Users whom somebody has to see to.

        Exchange gave no sign of life since then, a reading or retry is overdue since then, or the presence of
        one who was excluded was not cleared to the end.
        """
        overdue = " or ".join(
            f"({name} ne '' and {name} lt '{write_instant(overdue_before)}')"
            for name in ("read_requested_at", "retry_at", "subscription_retry_at")
        )
        silent = f"(mailbox_state ne '{MailboxState.NONE}' and last_sign lt '{write_instant(silent_before)}')"
        async for entity in self._table.query(f"{silent} or {overdue} or clearing eq true"):
            yield _read(entity)

    async def add(self, user: User, candidates: tuple[str, ...]) -> None:
        """Store a user the PBX has newly listed. One who was leaving begins anew, but stays excluded."""
        await self._table.put(_keys(user.guid) | _replicated(user, candidates) | _ARRIVED)

    async def add_all(self, arrived: Iterable[tuple[User, tuple[str, ...]]]) -> None:
        """Store many as `add` stores one, a hundred of a partition at a time."""
        await self._transact(
            ("upsert", _keys(user.guid) | _replicated(user, candidates) | _ARRIVED)
            for user, candidates in arrived
        )

    async def update(self, user: User, candidates: tuple[str, ...], *, resolve_again: bool) -> None:
        """Store what the PBX changed. Other addresses mean another mailbox: it is resolved anew."""
        forgotten = _NO_MAILBOX | _NO_SUBSCRIPTION if resolve_again else {}
        await self._table.merge(_keys(user.guid) | _replicated(user, candidates) | forgotten)

    async def update_all(self, changes: Iterable[Change]) -> None:
        """Store many changes as `update` stores one. Raises StateConflict where somebody is gone."""
        await self._transact(
            (
                "update",
                _keys(change.user.guid)
                | _replicated(change.user, change.candidates)
                | (_NO_MAILBOX | _NO_SUBSCRIPTION if change.resolve_again else {})
                | (
                    {"read_requested_at": write_instant(change.read_requested_at)}
                    if change.read_requested_at
                    else {}
                ),
            )
            for change in changes
        )

    async def _transact(self, steps: Iterable[Operation]) -> None:
        by_partition: dict[str, list[Operation]] = defaultdict(list)
        for step in steps:
            by_partition[step[1]["PartitionKey"]].append(step)
        await asyncio.gather(
            *(
                self._table.transact(together)
                for part in by_partition.values()
                for together in batched(part, TRANSACTION_LIMIT, strict=False)
            )
        )

    async def set_leaving(self, guid: str) -> None:
        """Note that a user is being forgotten: nobody works on them from now on."""
        await self._table.merge(_keys(guid) | {"leaving": True})

    async def remove(self, guid: str) -> None:
        """Forget a user."""
        await self._table.delete(partition_of(guid), guid)

    async def exclude(self, guid: str) -> None:
        """Keep a user out: what Exchange said is forgotten, and the presence has still to be cleared."""
        await self._table.merge(_keys(guid) | {"excluded": True, "clearing": True} | _NOTHING_OF_EXCHANGE)

    async def include(self, guid: str) -> None:
        """Let a user in again."""
        await self._table.merge(_keys(guid) | {"excluded": False, "clearing": False})

    async def set_cleared(self, guid: str) -> None:
        """Note that the presence of a user who was excluded is cleared."""
        await self._table.merge(_keys(guid) | {"clearing": False})

    async def forget_mailbox(self, guid: str) -> None:
        """Forget all that Exchange said about a user: mailbox, subscription, failure, marks of work."""
        await self._table.merge(_keys(guid) | _NOTHING_OF_EXCHANGE)

    async def set_mailbox(self, guid: str, state: MailboxState, address: str = "") -> None:
        """Store what resolving the user's addresses gave."""
        await self._table.merge(_keys(guid) | {"mailbox": address, "mailbox_state": state.value})

    async def begin_subscribing(self, guid: str, mailbox: str, now: datetime) -> None:
        """Note the mailbox that was found, and that Exchange is being asked to report its changes.

        Its first notification may come before its answer. Nothing takes the note back, as another worker may
        be asking for the same user: whoever reads it looks at its age.
        """
        found = {"mailbox": mailbox, "mailbox_state": MailboxState.FOUND.value}
        await self._table.merge(_keys(guid) | found | {"subscribing_since": write_instant(now)})

    async def set_subscription(self, guid: str, subscription: Subscription | None) -> None:
        """Store the subscription that Exchange gave, or that there is none any more."""
        if subscription is None:
            await self._table.merge(_keys(guid) | _NO_SUBSCRIPTION)
            return
        await self._table.merge(
            _keys(guid)
            | {
                "subscription_id": subscription.id,
                "subscribed_at": write_instant(subscription.since),
                "last_sign": write_instant(subscription.last_sign),
            }
        )

    async def set_last_sign(self, guid: str, now: datetime) -> None:
        """Note that the subscription is alive."""
        await self._table.merge(_keys(guid) | {"last_sign": write_instant(now)})

    async def set_read_requested(self, guid: str, now: datetime | None) -> None:
        """Note that a reading waits in the queue, or that it has begun."""
        await self._table.merge(_keys(guid) | {"read_requested_at": write_instant(now)})

    async def set_failure(self, guid: str, failure: Failure | None) -> None:
        """Store why the user's calendar can't be read, or that it can again."""
        await self._table.merge(_keys(guid) | _failed(failure))

    async def set_subscription_failure(self, guid: str, failure: Failure | None) -> None:
        """Store why the user's mailbox can't be found or subscribed to, or that it can again."""
        failed = {f"subscription_{name}": value for name, value in _failed(failure).items()}
        await self._table.merge(_keys(guid) | failed)


def _keys(guid: str) -> dict[str, Any]:
    return {"PartitionKey": partition_of(guid), "RowKey": guid}


def _may_be(partition: str, state: UserState) -> str:
    """A condition that holds for all users in a state; a property that is missing can't be asked about."""
    if state is UserState.EXCLUDED:
        return f"PartitionKey eq '{partition}' and excluded eq true"
    if state is UserState.FAILING:
        return f"PartitionKey eq '{partition}' and (failed_since ne '' or subscription_failed_since ne '')"
    if state in _MAILBOX_STATES:
        return f"PartitionKey eq '{partition}' and mailbox_state eq '{_MAILBOX_STATES[state]}'"
    return f"PartitionKey eq '{partition}'"


def _replicated(user: User, candidates: tuple[str, ...]) -> dict[str, Any]:
    return {
        "sip": user.sip,
        "common_name": user.common_name,
        "display_name": user.display_name,
        "emails": json.dumps(user.emails),
        "location": user.location,
        "groups": json.dumps(user.groups),
        "apps": json.dumps(user.apps),
        "candidates": json.dumps(candidates),
    }


def _failed(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return _NO_READ_FAILURE
    return {
        "failure_code": failure.code,
        "failure_text": failure.text,
        "failed_since": write_instant(failure.since),
        "failed_attempts": failure.attempts,
        "retry_at": write_instant(failure.retry_at),
    }


def _read_failure(entity: TableEntity, prefix: str) -> Failure | None:
    since = read_instant(entity.get(f"{prefix}failed_since"))
    if since is None:
        return None
    return Failure(
        code=entity[f"{prefix}failure_code"],
        text=entity[f"{prefix}failure_text"],
        since=since,
        attempts=entity[f"{prefix}failed_attempts"],
        retry_at=read_instant(entity.get(f"{prefix}retry_at")),
    )


def _read(entity: TableEntity) -> CalendarUser:
    subscription = None
    subscribed_at = read_instant(entity.get("subscribed_at"))
    if entity.get("subscription_id") and subscribed_at:
        last_sign = read_instant(entity.get("last_sign")) or subscribed_at
        subscription = Subscription(entity["subscription_id"], subscribed_at, last_sign)
    return CalendarUser(
        user=User(
            guid=entity["RowKey"],
            sip=entity["sip"],
            common_name=entity["common_name"],
            display_name=entity["display_name"],
            emails=tuple(json.loads(entity["emails"])),
            location=entity["location"],
            groups=tuple(json.loads(entity["groups"])),
            apps=tuple(json.loads(entity["apps"])),
        ),
        candidates=tuple(json.loads(entity["candidates"])),
        excluded=entity.get("excluded", False),
        mailbox=entity.get("mailbox", ""),
        mailbox_state=MailboxState(entity.get("mailbox_state", MailboxState.UNRESOLVED)),
        subscription=subscription,
        subscribing_since=read_instant(entity.get("subscribing_since")),
        read_requested_at=read_instant(entity.get("read_requested_at")),
        failure=_read_failure(entity, ""),
        subscription_failure=_read_failure(entity, "subscription_"),
        leaving=entity.get("leaving", False),
        clearing=entity.get("clearing", False),
    )
