"""The table ``config``: the administrator's configuration, a record a section, its secrets encrypted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from pydantic import SecretStr

from shared.cipher import Cipher
from shared.errors import SettingsError
from shared.settings import SECTIONS, Configuration, Section, parse_section
from shared.state.storage import Storage

_LONGEST = 32 * 1024
"""Characters in one property of a record: the service's limit."""


class ConfigStore:
    """Reads and writes the configuration."""

    def __init__(self, storage: Storage, cipher: Cipher) -> None:
        self._storage = storage
        self._table = storage.table("config")
        self._cipher = cipher

    async def load(self) -> Configuration:
        """The configuration; sections that were never saved have their defaults.

        The first thing that every function does: where the tables don't exist yet, it creates them.

        Raises:
            SettingsError: a secret was encrypted with a key that is gone.
            InvalidSettings: a stored section is not acceptable to this version.
        """
        try:
            entities = [entity async for entity in self._table.query("PartitionKey eq 'config'")]
        except ResourceNotFoundError:
            await self._storage.create()
            entities = []
        sections: dict[str, Any] = {
            entity["RowKey"]: parse_section(entity["RowKey"], self._decrypted(json.loads(entity["values"])))
            for entity in entities
            if entity["RowKey"] in SECTIONS
        }
        return Configuration(**sections)

    async def save(self, name: str, section: Section) -> None:
        """Store one section.

        Raises:
            SettingsError: it is longer than a record can be; names the longest field.
        """
        values = {field: self._stored(value) for field, value in section.model_dump().items()}
        text = json.dumps(values)
        if len(text) > _LONGEST:
            longest = max(values, key=lambda field: len(json.dumps(values[field])))
            raise SettingsError(f"{name}.{longest}", "is too long to be stored", "Shorten it.")
        await self._table.put({"PartitionKey": "config", "RowKey": name, "values": text})

    def _stored(self, value: Any) -> Any:
        if isinstance(value, SecretStr) and value:
            return {"encrypted": self._cipher.encrypt(value.get_secret_value())}
        return "" if isinstance(value, SecretStr) else value

    def _decrypted(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            field: self._cipher.decrypt(value["encrypted"])
            if isinstance(value, dict) and "encrypted" in value
            else value
            for field, value in values.items()
        }
