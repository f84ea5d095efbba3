"""The fixture ``app_settings``, with which the functions themselves run in the test process."""

import pytest
from cryptography.fernet import Fernet

from shared.state.storage import Storage


@pytest.fixture
def app_settings(azurite: str, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the functions need, and an empty storage account."""
    monkeypatch.setenv("AzureWebJobsStorage", azurite)
    monkeypatch.setenv("CALENDAR_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("CALENDAR_CALLBACK_URL", "https://calendar.example.com")
