"""The table ``checks``: tests of the connection as far as they have come, for a day.

The settings that are to be tried lie in it, encrypted, from the click until a worker takes them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from shared.cipher import Cipher
from shared.errors import SettingsError, StateConflict
from shared.settings import ExchangeSettings, PbxSettings, Section
from shared.state.storage import Storage, read_instant, write_instant
from shared.sync.checking import KEPT_FOR, Check, Given, Outcome, Step

_PARTITION = "check"
_LONGEST = 32 * 1024
"""Characters in one property of a record: the service's limit."""

_LONGEST_TEXT, _LONGEST_DETAIL, _MOST_DETAILS = 500, 300, 50


class CheckStore:
    """Keeps checks."""

    def __init__(self, storage: Storage, cipher: Cipher) -> None:
        self._table = storage.table("checks")
        self._cipher = cipher

    async def create(self, check: Check, given: Given) -> None:
        """Store a new check, and what is to be tried until somebody takes it.

        Raises:
            SettingsError: the settings are longer than a record can be.
        """
        entity = {
            "began": write_instant(check.began),
            "address": given.address,
            "pbx": self._seal("pbx", given.pbx),
            "exchange": self._seal("exchange", given.exchange),
            "waits": True,
        }
        await self._table.insert(self._write(check) | entity)

    async def take(self, identity: str) -> Given | None:
        """What is to be tried, to one caller only; None where it was taken, or there is no such check.

        Raises:
            SettingsError: the key that it was encrypted with is gone.
        """
        entity = await self._table.get(_PARTITION, identity)
        if entity is None or not entity["waits"]:
            return None
        taken = {"PartitionKey": _PARTITION, "RowKey": identity, "pbx": "", "exchange": "", "waits": False}
        try:
            await self._table.merge(taken, entity.metadata["etag"] or "")
        except StateConflict:
            return None
        pbx, exchange = self._open(entity["pbx"]), self._open(entity["exchange"])
        return Given(
            None if pbx is None else PbxSettings.model_validate(pbx),
            None if exchange is None else ExchangeSettings.model_validate(exchange),
            entity["address"],
        )

    async def save(self, check: Check) -> None:
        """Store how far it has come."""
        await self._table.put(self._write(check))

    async def get(self, identity: str, now: datetime) -> Check | None:
        """A check, or None where there is none or it is older than a day."""
        entity = await self._table.get(_PARTITION, identity)
        began = read_instant(entity["began"]) if entity else None
        if entity is None or began is None or now - began > KEPT_FOR:
            return None
        steps = (
            Step(**step | {"outcome": Outcome(step["outcome"]), "details": tuple(step["details"])})
            for step in json.loads(entity["steps"])
        )
        return Check(identity, began, tuple(steps), entity["done"])

    async def confirm(self, identity: str, now: datetime) -> None:
        """Exchange's notification has come; one for a check that is gone is forgotten."""
        if await self._table.get(_PARTITION, identity) is not None:
            confirmed = {"PartitionKey": _PARTITION, "RowKey": identity, "confirmed_at": write_instant(now)}
            await self._table.put(confirmed)

    async def is_confirmed(self, identity: str) -> bool:
        """Whether Exchange's notification has come."""
        entity = await self._table.get(_PARTITION, identity)
        return entity is not None and bool(entity.get("confirmed_at"))

    async def prune(self, now: datetime) -> None:
        """Remove those that are older than a day."""
        old = f"PartitionKey eq '{_PARTITION}' and began lt '{write_instant(now - KEPT_FOR)}'"
        async for entity in self._table.query(old, select=["RowKey"]):
            await self._table.delete(_PARTITION, entity["RowKey"])

    def _write(self, check: Check) -> dict[str, Any]:
        steps = [
            asdict(step)
            | {"text": step.text[:_LONGEST_TEXT], "remedy": step.remedy[:_LONGEST_TEXT]}
            | {"details": [detail[:_LONGEST_DETAIL] for detail in step.details[-_MOST_DETAILS:]]}
            for step in check.steps
        ]
        text = json.dumps(steps, ensure_ascii=False)
        return {"PartitionKey": _PARTITION, "RowKey": check.id, "steps": text, "done": check.done}

    def _seal(self, name: str, section: Section | None) -> str:
        if section is None:
            return ""
        values = {
            field: value.get_secret_value() if isinstance(value, SecretStr) else value
            for field, value in section.model_dump().items()
        }
        text = self._cipher.encrypt(json.dumps(values))
        if len(text) > _LONGEST:
            raise SettingsError(f"{name}.certificate", "is too long to be tried", "Shorten it.")
        return text

    def _open(self, sealed: str) -> dict[str, Any] | None:
        values: dict[str, Any] | None = json.loads(self._cipher.decrypt(sealed)) if sealed else None
        return values
