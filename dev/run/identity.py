"""What the simulated Entra ID knows in a run, and what the functions are told of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet

ROLE = "Calendar.Admin"


def _new_id() -> str:
    return str(uuid4())


def _new_secret() -> str:
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class Identity:
    """One tenant with two applications: one reads calendars, administrators sign in to the other.

    ``account`` reads calendars where the sign-in is delegated, and is an administrator.
    """

    account: str
    functions: str
    tenant: str = field(default_factory=_new_id)
    reader: str = field(default_factory=_new_id)
    page: str = field(default_factory=_new_id)
    secret: str = field(default_factory=_new_secret, repr=False)

    @property
    def seed(self) -> dict[str, Any]:
        """What ``dev.entra`` starts with. Any address of the functions may be returned to."""
        application = {"tenant": self.tenant, "secrets": [{"value": self.secret}]}
        returns = [f"{self.functions}/{path}" for path in ("signed-in", "authenticated")]
        return {
            "tenants": [{"id": self.tenant, "domains": [self.account.partition("@")[2]]}],
            "applications": [
                application | {"client_id": self.reader, "redirect_uris": returns},
                application | {"client_id": self.page, "redirect_uris": returns, "roles": [], "scopes": []},
            ],
            "accounts": [
                {"tenant": self.tenant, "user_name": self.account, "app_roles": {self.page: [ROLE]}}
            ],
        }

    @property
    def exchange_section(self) -> Mapping[str, object]:
        """What of the configuration's section ``exchange`` signs in at the cloud."""
        return {"client_id": self.reader, "tenant_id": self.tenant, "client_secret": self.secret}

    def administration(self, *, local: bool) -> Mapping[str, str]:
        """The app settings for the administrators' sign-in: nobody is asked locally, else Entra ID."""
        if local:
            return {"CALENDAR_ADMIN_SIGN_IN": "local"}
        return {
            "CALENDAR_ADMIN_SIGN_IN": "entra",
            "CALENDAR_ADMIN_CLIENT_ID": self.page,
            "CALENDAR_ADMIN_TENANT_ID": self.tenant,
            "CALENDAR_ADMIN_CLIENT_SECRET": self.secret,
            "CALENDAR_SESSION_KEY": Fernet.generate_key().decode(),
        }
