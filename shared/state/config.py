"""The table ``config``: the administrator's configuration, a record a section, its secrets encrypted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from pydantic import SecretStr

from shared.cipher import Cipher
from shared.settings import SECTIONS, Configuration, Section, parse_section
from shared.state.storage import Storage


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
        """Store one section."""
        values = {
            field: {"encrypted": self._cipher.encrypt(value.get_secret_value())}
            if isinstance(value, SecretStr)
            else value
            for field, value in section.model_dump().items()
        }
        await self._table.put({"PartitionKey": "config", "RowKey": name, "values": json.dumps(values)})

    def _decrypted(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            field: self._cipher.decrypt(value["encrypted"])
            if isinstance(value, dict) and "encrypted" in value
            else value
            for field, value in values.items()
        }
