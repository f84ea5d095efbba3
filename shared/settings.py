"""The configuration: the administrator's three sections, PBX, Exchange and presence.

It lives in the table ``config``, its secrets encrypted. All faults of an input are reported at once, each
with its field and remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.auth.certificate import read_certificate
from shared.auth.channel_binding import ChannelBinding
from shared.auth.checks import (
    check_certificate,
    check_client_id,
    check_date,
    check_scope,
    check_tenant_id,
    other_cloud,
)
from shared.auth.clouds import Cloud
from shared.checks import check_instant, check_mail_address, check_pem, check_secret, complete_url, wrong
from shared.errors import InvalidSettings, SettingsError
from shared.presence import Fault, FieldError, PresenceRules

Secret = Annotated[SecretStr, AfterValidator(check_secret)]
Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Certificates = Annotated[Text, AfterValidator(check_pem)]
MailAddress = Annotated[Text, AfterValidator(check_mail_address)]


class Section(BaseModel):
    """One part of the configuration. Frozen; unknown fields are refused."""

    # The input may hold a secret; an error is logged with its cause.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Scope(StrEnum):
    """Which PBX users are synchronised."""

    ALL = "all"
    APP = "app"
    GROUPS = "groups"


class PbxSettings(Section):
    """The master PBX and the App object this service signs in as."""

    address: Text = Field(default="", description="Host name of the PBX, or its complete wss:// address.")
    name: Text = Field(default="", description="The PBX name (not a DNS name). Another PBX is refused.")
    domain: Text = Field(
        default="", description="System name of the PBX; only needed where the Admin API isn't granted."
    )
    app: Text = Field(default="calendarsync", description="Name of the App object; no digit first.")
    password: Secret = Field(default=SecretStr(""), description="Password of the App object.")
    certificate: Certificates = Field(
        default="", description="Certificate of the PBX or of its authority, PEM."
    )
    scope: Scope = Scope.ALL
    scope_app: Text = Field(
        default="", validate_default=True, description="Only users who have this app assigned."
    )
    scope_groups: tuple[Text, ...] = Field(
        default=(), validate_default=True, description="Only members of one of these groups."
    )

    @field_validator("address")
    @classmethod
    def _check_url(cls, address: str) -> str:
        if address and not _websocket_url(address):
            raise wrong("is neither a host name nor a wss:// address", "Write it like pbx.example.com.")
        return address

    @field_validator("app")
    @classmethod
    def _check_app(cls, app: str) -> str:
        if app[:1].isdigit():
            raise wrong(
                "begins with a digit, which the PBX does not allow", "Give the App object another name."
            )
        return app

    @field_validator("scope_app", "scope_groups")
    @classmethod
    def _check_scope[T](cls, value: T, info: ValidationInfo) -> T:
        if not value and info.field_name == f"scope_{info.data.get('scope')}":
            raise wrong("is empty", "Fill it in, or choose the scope all.")
        return value

    @property
    def url(self) -> str:
        """The websocket's address, or empty where there is no ``address``."""
        return _websocket_url(self.address)

    def missing(self) -> list[str]:
        """The fields that must be filled in before the service can work."""
        return [f"pbx.{name}" for name in ("address", "name", "app", "password") if not getattr(self, name)]


def _websocket_url(address: str) -> str:
    return complete_url(address, ("wss",), "/PBX0/APPS/websocket")


class SyncType(StrEnum):
    """How Exchange is signed in to."""

    DISABLED = "disabled"
    ON_PREMISES = "on-premises"
    CLOUD_DELEGATED = "cloud-delegated"
    CLOUD_APP_ONLY = "cloud-app-only"

    @property
    def is_cloud(self) -> bool:
        """Whether it signs in at Entra ID."""
        return self in (SyncType.CLOUD_DELEGATED, SyncType.CLOUD_APP_ONLY)


class SupportedAccounts(StrEnum):
    """Whose accounts the app registration accepts."""

    ONE = "my organization only"
    SEVERAL = "multiple organizations"


class NameResolving(StrEnum):
    """Who executes ResolveNames."""

    IMPERSONATION_USER = "impersonation user"
    CANDIDATE_USERS = "candidate users"


class Server(StrEnum):
    """Which address of Exchange is used; where only the other is offered, that one is."""

    EXTERNAL = "external"
    INTERNAL = "internal"


class Detection(StrEnum):
    """How a change of a calendar is noticed."""

    PUSH = "push"
    POLL = "poll"


class ExchangeSettings(Section):
    """The Exchange system and the account that reads its calendars."""

    sync_type: SyncType = SyncType.DISABLED
    user: MailAddress = Field(
        default="", description="E-mail address of the account with the impersonation right."
    )
    password: Secret = Field(default=SecretStr(""), description="Password of that account.")
    url: Text = Field(
        default="",
        description="Address of Exchange Web Services, or its host alone; empty: found by autodiscover.",
    )
    server: Server = Field(
        default=Server.EXTERNAL, description="Which of the addresses that autodiscover offers is used."
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Accept an http:// address. Unsafe: calendars travel in the clear.",
        validate_default=True,
    )
    certificate: Certificates = Field(
        default="", description="Authority that signed Exchange's certificate, PEM."
    )
    channel_binding: ChannelBinding = Field(
        default="auto",
        description="Whether the sign-in is bound to the TLS connection (Extended Protection).",
    )
    name_resolving: NameResolving = NameResolving.IMPERSONATION_USER
    client_id: Annotated[Text, AfterValidator(check_client_id)] = Field(
        default="", description="Application (client) ID of the app registration."
    )
    tenant_id: Annotated[Text, AfterValidator(check_tenant_id)] = Field(
        default="", description="Directory (tenant) ID, or a domain of the tenant."
    )
    client_secret: Secret = Field(default=SecretStr(""), description="A client secret's value.")
    client_certificate: Annotated[Secret, AfterValidator(check_certificate)] = Field(
        default=SecretStr(""), description="In place of the secret: a certificate with its key, PEM."
    )
    supported_accounts: SupportedAccounts = SupportedAccounts.ONE
    cloud: Cloud = Field(default=Cloud.WORLDWIDE, validate_default=True)
    scope: Annotated[Text, AfterValidator(check_scope)] = Field(
        default="",
        validate_default=True,
        description="What tokens are asked for with; empty: the cloud's own.",
    )
    secret_expires_on: Annotated[Text, AfterValidator(check_date)] = Field(
        default="", description="Last day of the secret, to be warned of."
    )
    detection: Detection = Field(
        default=Detection.PUSH,
        description="Exchange tells of changes (push), or every mailbox is read regularly (poll).",
    )
    poll_minutes: int = Field(
        default=15, ge=5, le=60, description="Minutes between two readings where the detection is poll."
    )
    max_subscriptions: int = Field(
        default=200,
        ge=1,
        le=1000,
        description="How many mailboxes one connection subscribes or reads before it is replaced.",
    )
    debug_until: Annotated[Text, AfterValidator(check_instant)] = Field(
        default="", description="When the recording of what is said to Exchange ends; empty: it is off."
    )
    debug_subjects: bool = Field(default=False, description="Whether the record holds subjects and places.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url and not _ews_url(url):
            raise wrong("is neither a host name nor an https:// address", "Write it like mail.example.com.")
        if urlsplit(_ews_url(url)).path.lower().startswith("/autodiscover/"):
            raise wrong(
                "is an address of Autodiscover, where no calendar is read",
                "Leave it empty to have Exchange found by Autodiscover, or write it like mail.example.com.",
            )
        return url

    @field_validator("allow_plain_http")
    @classmethod
    def _check_plain_http(cls, allowed: bool, info: ValidationInfo) -> bool:
        if not allowed and _ews_url(info.data.get("url", "")).startswith("http:"):
            raise wrong(
                "is http", "Use https, or switch on allow_plain_http knowing what it means.", field="url"
            )
        if _is_cloud(info) and _ews_url(info.data.get("url", "")).startswith("http:"):
            raise wrong("is http, over which no token is sent", "Leave it empty, or use https.", field="url")
        return allowed

    @field_validator("cloud")
    @classmethod
    def _check_cloud(cls, cloud: Cloud, info: ValidationInfo) -> Cloud:
        if _is_cloud(info) and (other := other_cloud(_ews_url(info.data.get("url", "")), cloud)):
            raise wrong(f"does not fit the url, which is of {other}", f"Choose {other}, or empty the url.")
        return cloud

    @field_validator("scope")
    @classmethod
    def _check_cloud_of_scope(cls, scope: str, info: ValidationInfo) -> str:
        cloud = info.data.get("cloud")
        if cloud and (other := other_cloud(scope, cloud)):
            raise wrong(f"is of the cloud {other}", f"Leave it empty, or choose the cloud {other}.")
        return scope

    @property
    def ews_url(self) -> str:
        """The address of the web services: of ``url``, else of the cloud, or empty where there is none."""
        return _ews_url(self.url) or (self.cloud.ews_url if self.sync_type.is_cloud else "")

    @property
    def expires_on(self) -> date | None:
        """The last day of the secret as it was noted, else the certificate's, if known."""
        if self.secret_expires_on:
            return date.fromisoformat(self.secret_expires_on)
        if self.client_certificate:
            return read_certificate(self.client_certificate.get_secret_value()).expires.date()
        return None

    def missing(self) -> list[str]:
        """The fields that must be filled in before the service can work."""
        if self.sync_type is SyncType.DISABLED:
            return ["exchange.sync_type"]
        needed = ["user", "password"]
        if self.sync_type.is_cloud:
            needed = [
                "user",
                "client_id",
                "tenant_id",
                *([] if self.client_certificate else ["client_secret"]),
            ]
            if (
                self.sync_type is SyncType.CLOUD_DELEGATED
                and self.supported_accounts is SupportedAccounts.SEVERAL
            ):
                needed.remove("tenant_id")
        return [f"exchange.{name}" for name in needed if not getattr(self, name)]


def _is_cloud(info: ValidationInfo) -> bool:
    sync_type = info.data.get("sync_type")
    return isinstance(sync_type, SyncType) and sync_type.is_cloud


def _ews_url(url: str) -> str:
    return complete_url(url, ("https", "http"), "/EWS/Exchange.asmx")


class PresenceSettings(Section):
    """How appointments become presences; the names are those of `shared.presence.PresenceRules`."""

    language: str = "en"
    timezone: str = "UTC"
    show_subject: bool = True
    until_unit: str = "ms"
    mapping: Mapping[str, str] = Field(
        default_factory=dict, description="Deviations from the default mapping."
    )
    tentative_exception_organizers: tuple[Text, ...] = ()
    prioritized: tuple[Text, ...] = ()
    not_prioritized: tuple[Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _check(cls, values: Any) -> Any:
        if isinstance(values, dict):
            PresenceRules.from_mapping(values)
        return values

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
        return [*self.pbx.missing(), *self.exchange.missing()]


SECTIONS: Mapping[str, type[Section]] = {
    "pbx": PbxSettings,
    "exchange": ExchangeSettings,
    "presence": PresenceSettings,
}


def secret_fields(section: str) -> tuple[str, ...]:
    """The fields of a section that are stored encrypted and never shown."""
    return tuple(
        name for name, field in SECTIONS[section].model_fields.items() if field.annotation is SecretStr
    )


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
    for found in error.errors(include_input=False, include_url=False):
        path = ".".join(str(part) for part in found["loc"])
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            faults = cause.faults
        elif found["type"] == "extra_forbidden":
            faults = (Fault("", "unknown", f"Use one of: {', '.join(SECTIONS[section].model_fields)}."),)
        else:
            faults = (Fault("", found["msg"], "Correct the value."),)
        for fault in faults:
            yield SettingsError(f"{section}.{fault.field or path}", fault.fault, fault.remedy)
