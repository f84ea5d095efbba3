"""What is configured: the app settings of the deployment, and the administrator's three sections.

The *environment* (app settings) says where the state is and holds the encryption keys. The *configuration*
(PBX, Exchange, presence) is the administrator's and lives in the table ``config``; its secrets are
encrypted there. All faults of an input are reported at once, each with its field and remedy.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificates
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared.errors import InvalidSettings, SettingsError
from shared.presence import PresenceRules, RulesError

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


# ---- the environment


@dataclass(frozen=True, slots=True)
class Environment:
    """The app settings.

    ``storage`` is a connection string, or empty where the identity signs in at the two service URIs.
    ``encryption_keys`` are Fernet keys, the newest first; older ones still decrypt.
    ``callback_url`` is the public base URL of this function app, to which Exchange sends notifications.
    """

    storage: str = field(repr=False)
    table_uri: str
    queue_uri: str
    client_id: str
    encryption_keys: tuple[str, ...] = field(repr=False)
    callback_url: str

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
        callback = values.get("CALENDAR_CALLBACK_URL", "").rstrip("/")
        if not callback and values.get("WEBSITE_HOSTNAME"):
            callback = f"https://{values['WEBSITE_HOSTNAME']}"
        if urlsplit(callback).scheme not in ("http", "https"):
            faults.append(
                SettingsError(
                    "CALENDAR_CALLBACK_URL",
                    "Exchange can't be told where to send notifications",
                    "Set the public base URL of this function app, such as https://calendar.example.com.",
                )
            )
        if faults:
            raise InvalidSettings(faults)
        return cls(
            storage, table_uri, queue_uri, values.get("AzureWebJobsStorage__clientId", ""), keys, callback
        )


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key.encode())) == 32
    except ValueError:
        return False


# ---- the configuration


def _check_pem(value: str) -> str:
    if value:
        try:
            load_pem_x509_certificates(value.encode())
        except ValueError as error:
            raise ValueError("is no certificate in PEM form (-----BEGIN CERTIFICATE-----)") from error
    return value


def _check_address(value: str) -> str:
    if value and not _ADDRESS.fullmatch(value):
        raise ValueError(
            "is not a complete e-mail address; write it with its domain, such as calendar@example.com"
        )
    return value


Certificates = Annotated[str, AfterValidator(_check_pem)]
MailAddress = Annotated[str, AfterValidator(_check_address)]


class Section(BaseModel):
    """One part of the configuration. Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    def missing(self) -> list[str]:
        """The fields that must be filled in before the service can work."""
        return []


class Scope(StrEnum):
    """Which PBX users are synchronised."""

    ALL = "all"
    APP = "app"
    GROUPS = "groups"


class PbxSettings(Section):
    """The master PBX and the App object this service signs in as."""

    address: str = Field(default="", description="Host name of the PBX, or its complete wss:// address.")
    name: str = Field(default="", description="The PBX name (not a DNS name). Another PBX is refused.")
    domain: str = Field(
        default="", description="System name of the PBX; only needed where the Admin API isn't granted."
    )
    app: str = Field(
        default="calendarsync", pattern=r"^(\D.*)?$", description="Name of the App object; no digit first."
    )
    password: SecretStr = Field(default=SecretStr(""), description="Password of the App object.")
    certificate: Certificates = Field(
        default="", description="Certificate of the PBX or of its authority, PEM."
    )
    scope: Scope = Scope.ALL
    scope_app: str = Field(default="", description="Only users who have this app assigned.")
    scope_groups: tuple[str, ...] = Field(default=(), description="Only members of one of these groups.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.address and not self.url:
            raise ValueError("address: is neither a host name nor a wss:// address; write pbx.example.com")
        if self.scope is Scope.APP and not self.scope_app:
            raise ValueError("scope_app: is empty; name the app, or choose the scope all")
        if self.scope is Scope.GROUPS and not self.scope_groups:
            raise ValueError("scope_groups: is empty; name at least one group, or choose the scope all")
        return self

    @property
    def url(self) -> str:
        """The websocket's address, or empty where ``address`` is none."""
        if _HOST.fullmatch(self.address):
            return f"wss://{self.address}/PBX0/APPS/websocket"
        parts = urlsplit(self.address)
        return self.address if parts.scheme == "wss" and parts.hostname and parts.path.strip("/") else ""

    def missing(self) -> list[str]:
        wanted = {
            "address": self.address,
            "name": self.name,
            "app": self.app,
            "password": self.password.get_secret_value(),
        }
        return [f"pbx.{name}" for name, value in wanted.items() if not value]


class SyncType(StrEnum):
    """How Exchange is signed in to."""

    DISABLED = "disabled"
    ON_PREMISES = "on-premises"


class NameResolving(StrEnum):
    """Who executes ResolveNames."""

    IMPERSONATION_USER = "impersonation user"
    CANDIDATE_USERS = "candidate users"


class ExchangeSettings(Section):
    """The Exchange system and the account that reads its calendars."""

    sync_type: SyncType = SyncType.DISABLED
    user: MailAddress = Field(
        default="", description="E-mail address of the account with the impersonation right."
    )
    password: SecretStr = Field(default=SecretStr(""), description="Password of that account.")
    url: str = Field(default="", description="Address of Exchange Web Services, or its host alone.")
    allow_plain_http: bool = Field(
        default=False, description="Accept an http:// address. Unsafe: calendars travel in the clear."
    )
    certificate: Certificates = Field(
        default="", description="Authority that signed Exchange's certificate, PEM."
    )
    name_resolving: NameResolving = NameResolving.IMPERSONATION_USER

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url and not self.ews_url:
            raise ValueError("url: is neither a host name nor an https:// address; write mail.example.com")
        if self.ews_url.startswith("http:") and not self.allow_plain_http:
            raise ValueError("url: is http; use https, or switch on allow_plain_http knowing what it means")
        return self

    @property
    def ews_url(self) -> str:
        """The address of the web services, or empty where ``url`` is none."""
        if _HOST.fullmatch(self.url):
            return f"https://{self.url}/EWS/Exchange.asmx"
        parts = urlsplit(self.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
            return ""
        return self.url if parts.path.strip("/") else f"{self.url.rstrip('/')}/EWS/Exchange.asmx"

    def missing(self) -> list[str]:
        if self.sync_type is SyncType.DISABLED:
            return ["exchange.sync_type"]
        wanted = {"user": self.user, "password": self.password.get_secret_value(), "url": self.url}
        return [f"exchange.{name}" for name, value in wanted.items() if not value]


class PresenceSettings(Section):
    """How appointments become presences; the names are those of `shared.presence.PresenceRules`."""

    language: str = "en"
    timezone: str = "UTC"
    show_subject: bool = True
    until_unit: str = "ms"
    mapping: Mapping[str, str] = Field(
        default_factory=dict, description="Deviations from the default mapping."
    )
    tentative_exception_organizers: tuple[str, ...] = ()
    prioritized: tuple[str, ...] = ()
    not_prioritized: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.rules
        return self

    @cached_property
    def rules(self) -> PresenceRules:
        """The rules for the presence engine."""
        return PresenceRules.from_mapping(self.model_dump())


@dataclass(frozen=True, slots=True)
class Configuration:
    """The administrator's three sections."""

    pbx: PbxSettings = field(default_factory=lambda: PbxSettings())
    exchange: ExchangeSettings = field(default_factory=lambda: ExchangeSettings())
    presence: PresenceSettings = field(default_factory=lambda: PresenceSettings())

    def missing(self) -> list[str]:
        """The fields that keep the service from working; empty when the configuration is complete."""
        return [*self.pbx.missing(), *self.exchange.missing(), *self.presence.missing()]


SECTIONS: Mapping[str, type[Section]] = {
    "pbx": PbxSettings,
    "exchange": ExchangeSettings,
    "presence": PresenceSettings,
}


def parse_section(name: str, values: Mapping[str, Any]) -> Section:
    """Check one section of the configuration.

    Raises:
        InvalidSettings: with every fault, each naming its field.
    """
    try:
        return SECTIONS[name].model_validate(dict(values))
    except ValidationError as error:
        raise InvalidSettings(_faults(name, error)) from error


def _faults(section: str, error: ValidationError) -> Iterable[SettingsError]:
    for fault in error.errors(include_input=False, include_url=False):
        cause = fault.get("ctx", {}).get("error")
        if isinstance(cause, RulesError):
            yield from (
                SettingsError(f"{section}.{rule.field}", rule.fault, rule.remedy) for rule in cause.faults
            )
            continue
        path = ".".join(str(part) for part in fault["loc"])
        text = fault["msg"].removeprefix("Value error, ")
        if not path and ": " in text:
            path, text = text.split(": ", 1)
        what, _, remedy = text.partition("; ")
        remedy = remedy or "correct the value"
        yield SettingsError(f"{section}.{path}".rstrip("."), what, f"{remedy[0].upper()}{remedy[1:]}.")
