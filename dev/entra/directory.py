"""Who there is: tenants, registered applications, accounts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

EVERY_ORGANIZATION = ("organizations", "common")
"""What stands in an address in place of a tenant where any may sign in."""


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Tenant:
    """An organization, found by its id or one of its domains."""

    id: str = field(default_factory=new_id)
    domains: list[str] = field(default_factory=lambda: ["example.com"])


@dataclass(slots=True)
class Secret:
    """A client secret. ``expires`` is an ISO 8601 instant with its offset, or None."""

    value: str
    expires: str | None = None

    def has_expired(self, now: float) -> bool:
        if self.expires is None:
            return False
        return datetime.fromisoformat(self.expires) <= datetime.fromtimestamp(now, UTC)


@dataclass(slots=True)
class Application:
    """A registered application.

    ``certificates`` are PEM without keys. ``roles`` are the application permissions that an administrator has
    consented to, ``scopes`` the delegated ones; both are Exchange's. ``tenant`` is where it is registered;
    with ``multi_tenant`` it is known in all of them. ``app_roles`` are the roles of other applications that
    were assigned to this one, by their client id.
    """

    tenant: str
    client_id: str = field(default_factory=new_id)
    name: str = "Calendar"
    secrets: list[Secret] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    redirect_uris: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: ["full_access_as_app"])
    scopes: list[str] = field(default_factory=lambda: ["EWS.AccessAsUser.All"])
    multi_tenant: bool = False
    enabled: bool = True
    app_roles: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.secrets = [Secret(**given) if isinstance(given, dict) else given for given in self.secrets]

    def accepts(self, redirect_uri: str) -> bool:
        """Whether it is registered; on localhost the port does not matter."""
        return any(
            _without_local_port(known) == _without_local_port(redirect_uri) for known in self.redirect_uris
        )


def _without_local_port(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc="localhost").geturl() if parts.hostname == "localhost" else uri


@dataclass(slots=True)
class Account:
    """Somebody who can sign in.

    ``consents``: whether it consents to what an application asks for of Exchange, or presses Cancel.
    ``mfa``: what was signed in before multi-factor authentication became required needs an interaction.
    ``app_roles``: the roles of an application that were assigned to the account, by client id.
    """

    tenant: str
    user_name: str
    name: str = ""
    id: str = field(default_factory=new_id)
    enabled: bool = True
    consents: bool = True
    mfa: bool = False
    app_roles: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Directory:
    """Everything there is to know."""

    tenants: list[Tenant] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read what `describe` wrote, or less: only ``tenant`` and names have to be given.

        Raises ValueError for anything that does not fit.
        """
        try:
            return cls(
                [Tenant(**row) for row in values.get("tenants", [])],
                [Application(**row) for row in values.get("applications", [])],
                [Account(**row) for row in values.get("accounts", [])],
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def small(cls) -> Self:
        """One tenant with one application, its secret ``secret`` and the account calendar@example.com."""
        tenant = Tenant()
        application = Application(
            tenant.id, secrets=[Secret("secret")], redirect_uris=["https://calendar.example.com/signed-in"]
        )
        account = Account(tenant.id, "calendar@example.com", "Calendar Service")
        return cls([tenant], [application], [account])

    def describe(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)

    def tenant(self, name: str) -> Tenant | None:
        """The tenant with this id or domain."""
        wanted = name.lower()
        return next((t for t in self.tenants if wanted in (t.id, *map(str.lower, t.domains))), None)

    def application(self, client_id: str) -> Application | None:
        return next((a for a in self.applications if a.client_id == client_id.lower()), None)

    def account(self, user_name: str) -> Account | None:
        return next((a for a in self.accounts if a.user_name.lower() == user_name.lower()), None)


def change(target: Application | Account, wish: Mapping[str, Any]) -> None:
    """Set fields of a row. Raises ValueError for one it does not have, or a value of another type."""
    types: dict[str, Callable[[Any], bool]] = {
        row.name: _same_type(getattr(target, row.name)) for row in fields(target)
    }
    for name, value in wish.items():
        if name not in types or not types[name](value):
            raise ValueError(f"{name}: unknown, or {value!r} does not fit it")
    for name, value in wish.items():
        setattr(target, name, [Secret(**row) for row in value] if name == "secrets" else value)


def _same_type(present: object) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, type(present))
