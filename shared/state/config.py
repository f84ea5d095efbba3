"""The table ``config``: the administrator's configuration, a record a section, its secrets encrypted.

Beside the sections lies a record of what was made in the storage account, so that a newer version that needs
more tables and queues makes them when it first reads its configuration.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity
from pydantic import SecretStr

from shared.cipher import Cipher
from shared.errors import InvalidSettings, OutdatedSettings, SettingsError, StateConflict
from shared.settings import SECTIONS, Configuration, Section, parse_section, secret_fields
from shared.state.storage import CONTENTS, Storage, read_instant, write_instant
from shared.sync.configuring import Stored

_LONGEST = 32 * 1024
"""Characters in one property of a record: the service's limit."""

_SECTION = "config"
_CONTENTS = "contents"


class ConfigStore:
    """Reads and writes the configuration."""

    def __init__(self, storage: Storage, cipher: Cipher) -> None:
        self._storage = storage
        self._table = storage.table("config")
        self._cipher = cipher
        self._last: tuple[frozenset[tuple[str, str]], Configuration] | None = None

    @property
    def known(self) -> Configuration | None:
        """What was loaded last, by whomever; None where nothing was."""
        return self._last[1] if self._last else None

    async def load(self) -> Configuration:
        """The configuration; sections that were never saved have their defaults.

        A secret that no key decrypts is left out. While nothing was saved the same object comes back. The
        first thing that every function does: tables and queues that this version lacks are made here.

        Raises:
            OutdatedSettings: a stored section is not acceptable to this version.
        """
        entities = await self._read_all()
        version = frozenset((entity["RowKey"], entity.metadata["etag"] or "") for entity in entities.values())
        if self._last is None or self._last[0] != version:
            try:
                sections: dict[str, Any] = {
                    name: parse_section(name, self._decrypt(json.loads(entity["values"]))[0])
                    for name, entity in entities.items()
                }
            except InvalidSettings as error:
                raise OutdatedSettings(error.errors) from error
            self._last = (version, Configuration(**sections))
        return self._last[1]

    async def load_section(self, name: str) -> Stored:
        """One section with what is known about it, also where it can't be loaded as a whole."""
        entity = await self._table.get(_SECTION, name)
        if entity is None:
            return Stored(parse_section(name, {}))
        values, lost = self._decrypt(json.loads(entity["values"]))
        section, faults = _salvage(name, values)
        return Stored(
            section,
            entity.metadata["etag"] or "",
            read_instant(entity.get("saved_at")),
            entity.get("saved_by", ""),
            _read_instants(entity),
            tuple(lost),
            faults,
        )

    async def save(
        self,
        name: str,
        section: Section,
        etag: str | None,
        actor: str,
        now: datetime,
        kept: Collection[str] = (),
    ) -> str:
        """Store one section in place of the one read with ``etag`` and return the new ETag.

        An empty ``etag`` means that it was never saved, None that whatever is there is replaced. ``actor`` is
        who saves. Secrets named in ``kept`` stay as they are stored, although no key decrypts them.

        Raises:
            StateConflict: somebody else saved it meanwhile.
            SettingsError: it is longer than a record can be; names the longest field.
        """
        entity = await self._table.get(_SECTION, name)
        found = (entity.metadata["etag"] or "") if entity else ""
        if etag is not None and etag != found:
            raise StateConflict("The configuration was changed meanwhile.")
        stored = json.loads(entity["values"]) if entity else {}
        former, _ = self._decrypt(stored)
        set_at = _read_instants(entity)
        values = {field: self._encrypt(value) for field, value in section.model_dump().items()}
        for field in secret_fields(name):
            if field in kept and not values[field] and field in stored:
                values[field] = stored[field]
            elif not values[field]:
                set_at.pop(field, None)
            elif former.get(field) != getattr(section, field).get_secret_value() or field not in set_at:
                set_at[field] = now
        text = json.dumps(values)
        if len(text) > _LONGEST:
            longest = max(values, key=lambda field: len(json.dumps(values[field])))
            raise SettingsError(f"{name}.{longest}", "is too long to be stored", "Shorten it.")
        record = {
            "PartitionKey": _SECTION,
            "RowKey": name,
            "values": text,
            "set_at": json.dumps({field: write_instant(at) for field, at in set_at.items()}),
            "saved_at": write_instant(now),
            "saved_by": actor,
        }
        return await (self._table.replace(record, found) if found else self._table.insert(record))

    async def _read_all(self) -> dict[str, TableEntity]:
        """The records of the sections. Makes the tables and queues that are missing."""
        made: frozenset[str] = frozenset()
        sections = {}
        try:
            async for entity in self._table.query(f"PartitionKey eq '{_SECTION}'"):
                if entity["RowKey"] in SECTIONS:
                    sections[entity["RowKey"]] = entity
                elif entity["RowKey"] == _CONTENTS:
                    made = frozenset(json.loads(entity["made"]))
        except ResourceNotFoundError:
            made = frozenset()
        if not made >= CONTENTS:
            await self._storage.create()
            # What a newer version made stays on the list, else two side by side would make it in turns.
            text = json.dumps(sorted(made | CONTENTS))
            await self._table.put({"PartitionKey": _SECTION, "RowKey": _CONTENTS, "made": text})
        return sections

    def _encrypt(self, value: Any) -> Any:
        if isinstance(value, SecretStr) and value:
            return {"encrypted": self._cipher.encrypt(value.get_secret_value())}
        return "" if isinstance(value, SecretStr) else value

    def _decrypt(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The values with their secrets, and the names of the secrets that no key decrypts."""
        plain: dict[str, Any] = {}
        lost = []
        for field, value in values.items():
            plain[field] = value
            if isinstance(value, dict) and "encrypted" in value:
                try:
                    plain[field] = self._cipher.decrypt(value["encrypted"])
                except SettingsError:
                    plain[field] = ""
                    lost.append(field)
        return plain, lost


def _salvage(name: str, values: dict[str, Any]) -> tuple[Section, tuple[SettingsError, ...]]:
    """The section, without the fields that this version refuses, and why it refuses them."""
    try:
        return parse_section(name, values), ()
    except InvalidSettings as error:
        refused = {fault.field.split(".")[1] for fault in error.errors}
        left = {field: value for field, value in values.items() if field not in refused}
        try:
            return parse_section(name, left), error.errors
        except InvalidSettings:
            return parse_section(name, {}), error.errors


def _read_instants(entity: TableEntity | None) -> dict[str, datetime]:
    stored = json.loads(entity.get("set_at", "{}")) if entity else {}
    return {field: datetime.fromisoformat(at) for field, at in stored.items()}
