"""An installation's app settings and its configuration, as an administrator enters it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet

from shared.cipher import Cipher
from shared.environment import Environment
from shared.settings import parse_section
from shared.state.config import ConfigStore
from shared.state.storage import Storage
from tests.bench.parts.processes import PASSWORD

ACCOUNT = "calendar@example.com"

PBX = {"address": "pbx.example.com", "name": "master", "password": PASSWORD}


def app_settings(connection: str) -> dict[str, str]:
    """The app settings of a deployment with this storage account."""
    return {
        "AzureWebJobsStorage": connection,
        "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
    }


async def configure(
    storage: Storage, environment: Environment, exchange: dict[str, Any], now: datetime
) -> None:
    """Save all sections; ``exchange`` says how it is reached and signed in to."""
    store = ConfigStore(storage, Cipher(environment.encryption_keys))
    await store.load()
    account = {"sync_type": "on-premises", "user": ACCOUNT, "password": PASSWORD}
    sections = {"pbx": PBX, "exchange": account | exchange, "presence": {"timezone": "Europe/Berlin"}}
    for name, values in sections.items():
        await store.save(name, parse_section(name, values), None, "setup", now)
