"""The app settings of the deployment: where the state is, the encryption keys, and the addresses.

All faults are reported at once, each with its field and remedy.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from shared.checks import complete_url
from shared.errors import InvalidSettings, SettingsError


@dataclass(frozen=True, slots=True)
class Environment:
    """The app settings.

    ``storage`` is a connection string, or empty where the identity signs in at the two service URIs.
    ``encryption_keys`` are Fernet keys, the newest first; older ones still decrypt.
    ``callback_url`` is the public base URL of this function app, to which Exchange sends notifications.
    ``authority`` is where Entra ID signs in, in place of the cloud's own: a simulated one's address.
    """

    storage: str = field(repr=False)
    table_uri: str
    queue_uri: str
    client_id: str
    encryption_keys: tuple[str, ...] = field(repr=False)
    callback_url: str
    authority: str = ""

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Self:
        """Read the app settings from a mapping such as ``os.environ``.

        Raises:
            InvalidSettings: with every fault.
        """
        faults: list[SettingsError] = []
        storage = values.get("AzureWebJobsStorage", "")
        table_uri = values.get("AzureWebJobsStorage__tableServiceUri", "")
        queue_uri = values.get("AzureWebJobsStorage__queueServiceUri", "")
        if not storage and not (table_uri and queue_uri):
            faults.append(
                SettingsError(
                    "AzureWebJobsStorage",
                    "no storage account is named",
                    "Set a connection string, or AzureWebJobsStorage__tableServiceUri and "
                    "AzureWebJobsStorage__queueServiceUri for the managed identity.",
                )
            )
        keys = tuple(
            key.strip() for key in values.get("CALENDAR_ENCRYPTION_KEYS", "").split(",") if key.strip()
        )
        if not keys or not all(_is_fernet_key(key) for key in keys):
            faults.append(
                SettingsError(
                    "CALENDAR_ENCRYPTION_KEYS",
                    "not a list of Fernet keys" if keys else "no key is set",
                    "Set keys of 32 bytes in URL-safe base64, separated by commas, the newest first.",
                )
            )
        callback = complete_url(
            values.get("CALENDAR_CALLBACK_URL", "") or values.get("WEBSITE_HOSTNAME", ""), ("https", "http")
        )
        if not callback:
            faults.append(
                SettingsError(
                    "CALENDAR_CALLBACK_URL",
                    "Exchange can't be told where to send notifications",
                    "Set the public base URL of this function app, such as https://calendar.example.com.",
                )
            )
        authority = values.get("CALENDAR_AUTHORITY", "")
        if authority and not complete_url(authority, ("https",)):
            faults.append(
                SettingsError(
                    "CALENDAR_AUTHORITY",
                    "not an https:// address",
                    "Remove it, or set the address of a simulated Entra ID, such as https://localhost:7076.",
                )
            )
        if faults:
            raise InvalidSettings(faults)
        return cls(
            storage,
            table_uri,
            queue_uri,
            values.get("AzureWebJobsStorage__clientId", ""),
            keys,
            callback.rstrip("/"),
            complete_url(authority, ("https",)).rstrip("/"),
        )


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key.encode())) == 32
    except ValueError:
        return False
