"""Counts the records of the table ``users`` by their state."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from shared.model import MailboxState
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.interfaces import PARTITIONS, Census

_STATE = [
    "leaving",
    "excluded",
    "mailbox_state",
    "subscription_id",
    "last_sign",
    "read_requested_at",
    "failed_since",
    "retry_at",
    "subscription_failed_since",
    "subscription_retry_at",
]

_BY_STATE = {
    MailboxState.FOUND.value: "with_mailbox",
    MailboxState.NONE.value: "without_mailbox",
    MailboxState.UNRESOLVED.value: "unresolved",
}


class CensusTaker:
    """Looks at every user's state, and at nothing else of them."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("users")

    async def count(self, now: datetime, silence: timedelta) -> Census:
        """The users by their state; a subscription without a sign of life for longer than that is silent."""
        began = monotonic()
        numbers: Counter[str] = Counter()
        signs: list[str] = []
        oldest_reading = ""
        for partition in PARTITIONS:
            first, last = "", ""
            async for entity in self._table.query(f"PartitionKey eq '{partition}'", select=_STATE):
                if entity.get("leaving"):
                    continue
                numbers.update(_describe(entity, now, silence))
                if entity.get("excluded"):
                    continue
                if entity.get("subscription_id"):
                    sign = entity["last_sign"]
                    first, last = min(first or sign, sign), max(last, sign)
                if asked := entity.get("read_requested_at"):
                    oldest_reading = min(oldest_reading or asked, asked)
            signs += [sign for sign in (first, last) if sign]
        return Census(
            at=now,
            seconds=monotonic() - began,
            **numbers,
            oldest_sign=read_instant(min(signs, default="")),
            newest_sign=read_instant(max(signs, default="")),
            reading_since=read_instant(oldest_reading),
        )


def _describe(entity: dict[str, Any], now: datetime, silence: timedelta) -> list[str]:
    """What a user is counted as."""
    if entity.get("excluded"):
        return ["total", "excluded"]
    states = ["total", _BY_STATE[entity["mailbox_state"]]]
    if entity.get("failed_since") or entity.get("subscription_failed_since"):
        states.append("failing")
    if entity.get("subscription_failed_since") and entity["mailbox_state"] == MailboxState.FOUND.value:
        states.append("refused")
    if entity.get("retry_at") or entity.get("subscription_retry_at"):
        states.append("retrying")
    if entity.get("subscription_id"):
        states.append("subscribed")
        if entity["last_sign"] < write_instant(now - silence):
            states.append("silent")
    return states
