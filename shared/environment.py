"""The app settings of the deployment: where the state is, the keys, the addresses, and who administers.

All faults are reported at once, each with its field and remedy.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from shared.auth.checks import check_client_id
from shared.checks import complete_url
from shared.errors import InvalidSettings, SettingsError
from shared.presence import FieldError


@dataclass(frozen=True, slots=True)
class Administration:
    """How administrators sign in.

    ``local`` lets everybody in who sits at this machine; else it is Entra ID, where the application
    ``client_id`` of the tenant ``tenant_id`` has the role that lets somebody in. Without ``client_secret``
    the managed identity vouches for the application. ``session_keys`` are Fernet keys, the newest first.
    """

    local: bool = False
    client_id: str = ""
    tenant_id: str = ""
    client_secret: str = field(default="", repr=False)
    session_keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ready(self) -> bool:
        """Whether anybody can sign in."""
        return self.local or bool(self.client_id)


@dataclass(frozen=True, slots=True)
class Environment:
    """The app settings.

    ``storage`` is a connection string, or empty where the identity signs in at the two service URIs.
    ``encryption_keys`` are Fernet keys, the newest first; older ones still decrypt.
    ``callback_url`` is the public base URL of this function app, to which Exchange sends notifications.
    ``authority`` is where Entra ID signs in, in place of the cloud's own: a simulated one's address.
    ``administration`` says how administrators sign in.
    """

    storage: str = field(repr=False)
    table_uri: str
    queue_uri: str
    client_id: str
    encryption_keys: tuple[str, ...] = field(repr=False)
    callback_url: str
    authority: str = ""
    administration: Administration = Administration()

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
        keys = _keys(values, "CALENDAR_ENCRYPTION_KEYS", faults, needed=True)
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
        administration = _administration(values, faults)
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
            administration,
        )


def _administration(values: Mapping[str, str], faults: list[SettingsError]) -> Administration:
    name = "CALENDAR_ADMIN_SIGN_IN"
    mode = values.get(name, "") or "entra"
    if mode not in ("entra", "local"):
        faults.append(SettingsError(name, "neither entra nor local", "Remove it, or write one of the two."))
    # What Azure sets on every function app.
    in_azure = values.get("WEBSITE_INSTANCE_ID", "") or values.get("WEBSITE_HOSTNAME", "")
    if mode == "local" and in_azure:
        faults.append(
            SettingsError(
                name,
                "local is for this machine only, and this is Azure",
                "Remove it, so that Entra ID is asked.",
            )
        )
    client_id, tenant_id = (
        _identifier(values, name, faults) for name in ("CALENDAR_ADMIN_CLIENT_ID", "CALENDAR_ADMIN_TENANT_ID")
    )
    if client_id and not tenant_id and not any(f.field == "CALENDAR_ADMIN_TENANT_ID" for f in faults):
        faults.append(
            SettingsError(
                "CALENDAR_ADMIN_TENANT_ID",
                "the tenant of the administrators' application is not named",
                "Set the directory (tenant) ID of its registration.",
            )
        )
    keys = _keys(values, "CALENDAR_SESSION_KEY", faults, needed=bool(client_id) and mode == "entra")
    return Administration(
        mode == "local", client_id, tenant_id, values.get("CALENDAR_ADMIN_CLIENT_SECRET", ""), keys
    )


def _identifier(values: Mapping[str, str], name: str, faults: list[SettingsError]) -> str:
    try:
        return check_client_id(values.get(name, "").strip())
    except FieldError:
        remedy = "Copy it from the app registration's overview: 32 hexadecimal digits in five groups."
        faults.append(SettingsError(name, "is no ID", remedy))
        return ""


def _keys(
    values: Mapping[str, str], name: str, faults: list[SettingsError], *, needed: bool
) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in values.get(name, "").split(",") if key.strip())
    if (needed and not keys) or not all(_is_fernet_key(key) for key in keys):
        faults.append(
            SettingsError(
                name,
                "not a list of Fernet keys" if keys else "no key is set",
                "Set keys of 32 bytes in URL-safe base64, separated by commas, the newest first.",
            )
        )
    return keys


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key.encode())) == 32
    except ValueError:
        return False
