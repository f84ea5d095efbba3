"""What the token endpoint gives, and for what: the grants of OAuth 2.

Sources: *OAuth 2.0 client credentials flow* and *authorization code flow on the Microsoft identity platform*,
RFC 6749, RFC 7636 (PKCE).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dev.entra.directory import Account, Application, Directory
from dev.entra.keys import SigningKey
from dev.entra.refusals import Refused, invalid_grant
from dev.entra.statistics import Statistics

RESOURCES = (
    "https://outlook.office365.com",
    "https://outlook.office365.us",
    "https://outlook-dod.office365.us",
    "https://partner.outlook.cn",
)
"""Exchange Online in its clouds."""

_ALWAYS = {"openid", "profile", "email", "offline_access"}
_CODE_LIFE = 600


@dataclass(frozen=True, slots=True)
class Signed:
    """An account that has signed in to an application: behind a code, then behind a refresh token."""

    account: Account
    client_id: str
    scope: str
    nonce: str
    mfa: bool
    expires: float
    redirect_uri: str = ""
    challenge: str = ""


class Grants:
    """The codes and refresh tokens that were given out. Lives are in seconds and may be changed."""

    def __init__(
        self,
        directory: Directory,
        key: SigningKey,
        statistics: Statistics,
        base: str,
        now: Callable[[], float],
    ) -> None:
        self.directory = directory
        self.base = base
        self.token_life = 3600
        self.refresh_life = 90 * 24 * 3600
        self._key = key
        self._statistics = statistics
        self._now = now
        self._codes: dict[str, Signed | None] = {}
        self._refreshes: dict[str, Signed] = {}
        self._replaced: set[str] = set()
        self._revoked: set[str] = set()

    def new_code(self, signed: Signed) -> str:
        """A code that is worth one token request in the next ten minutes."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = replace(signed, expires=self._now() + _CODE_LIFE)
        return code

    def revoke(self, user_name: str) -> int:
        """Make the account's refresh tokens worthless; give how many."""
        ended = {t for t, s in self._refreshes.items() if s.account.user_name.lower() == user_name.lower()}
        self._revoked |= ended
        return len(ended)

    def for_client(self, application: Application, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The client credentials grant. Raises Refused."""
        scope = form.get("scope", "")
        if not scope.endswith("/.default") or " " in scope:
            raise Refused("invalid_scope", 1002012, f"The provided value for scope {scope} is not valid.")
        resource = self._resource(scope)
        roles = application.app_roles.get(resource, []) if self._is_ours(resource) else application.roles
        person = {"oid": application.client_id, "sub": application.client_id, "idtyp": "app"}
        claims = person | ({"roles": roles} if roles else {})
        return self._answer(self._access_token(resource, tenant, application, claims))

    def for_code(self, application: Application, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The authorization code grant. Raises Refused."""
        code = form.get("code", "")
        if code not in self._codes:
            raise invalid_grant(9002313, "The code is malformed or was never given.")
        signed = self._codes[code]
        self._codes[code] = None
        if signed is None:
            raise invalid_grant(54005, "OAuth2 Authorization code was already redeemed.")
        if signed.expires <= self._now():
            raise invalid_grant(70008, "The provided authorization code has expired.")
        if signed.client_id != application.client_id or signed.redirect_uri != form.get("redirect_uri"):
            raise invalid_grant(50011, "The redirect URI or the application is another than the code's.")
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != signed.challenge:
            raise invalid_grant(501481, "The Code_Verifier does not match the code_challenge.")
        return self._for_account(application, tenant, signed, form)

    def for_refresh_token(
        self, application: Application, tenant: str, form: Mapping[str, str]
    ) -> dict[str, Any]:
        """The refresh token grant: the token is replaced by a new one. Raises Refused."""
        token = form.get("refresh_token", "")
        signed = self._refreshes.get(token)
        if signed is None or signed.client_id != application.client_id:
            raise invalid_grant(9002313, "The refresh token is malformed or is for another application.")
        if token in self._replaced:
            self._statistics.reused += 1
            raise invalid_grant(70000, "The refresh token is not valid.", "bad_token")
        if token in self._revoked:
            raise invalid_grant(50173, "The grant was revoked. A fresh sign-in is needed.", "bad_token")
        if signed.expires <= self._now():
            raise invalid_grant(700082, "The refresh token has expired due to inactivity.", "bad_token")
        if signed.account.mfa and not signed.mfa:
            raise Refused(
                "interaction_required",
                50076,
                "Multi-factor authentication is required.",
                suberror="basic_action",
            )
        answer = self._for_account(application, tenant, signed, form)
        self._replaced.add(token)
        return answer

    def _for_account(
        self, application: Application, tenant: str, signed: Signed, form: Mapping[str, str]
    ) -> dict[str, Any]:
        account = signed.account
        if not account.enabled:
            raise invalid_grant(50057, "The user account is disabled.")
        scope = form.get("scope", "") or signed.scope
        wanted = scope.split()
        home = account.tenant
        resource = next((self._resource(word) for word in wanted if word not in _ALWAYS), "")
        if resource and not application.scopes:
            raise invalid_grant(
                65001, "The administrator has not consented to use the application.", "consent_required"
            )
        person: dict[str, Any] = {"oid": account.id, "upn": account.user_name, "sub": account.id}
        if self._is_ours(resource) and (roles := account.app_roles.get(resource)):
            person["roles"] = roles
        access = self._access_token(
            resource or application.client_id,
            home,
            application,
            person | {"scp": " ".join(application.scopes)},
        )
        granted = [f"{resource}/{name}" for name in application.scopes] if resource else []
        answer = self._answer(access) | {"scope": " ".join([*granted, *wanted])}
        if "openid" in wanted:
            answer["id_token"] = self._id_token(application, account, signed.nonce)
        if "offline_access" in wanted:
            token = secrets.token_urlsafe(48)
            self._refreshes[token] = replace(signed, expires=self._now() + self.refresh_life)
            answer["refresh_token"] = token
        if form.get("client_info"):
            info = json.dumps({"uid": account.id, "utid": home}).encode()
            answer["client_info"] = base64.urlsafe_b64encode(info).rstrip(b"=").decode()
        return answer

    def _answer(self, access_token: str) -> dict[str, Any]:
        life = self.token_life
        return {
            "token_type": "Bearer",
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": access_token,
        }

    def _access_token(
        self, audience: str, tenant: str, application: Application, claims: Mapping[str, Any]
    ) -> str:
        # What a token looks like is the resource's choice; Exchange's is the older one.
        ours = self._is_ours(audience)
        return self._key.sign(
            {
                **self._times(),
                "aud": audience,
                "iss": f"{self.base}/{tenant}/v2.0",
                "tid": tenant,
                "azp" if ours else "appid": application.client_id,
                "uti": secrets.token_urlsafe(16),
                "ver": "2.0" if ours else "1.0",
                **claims,
            }
        )

    def _is_ours(self, resource: str) -> bool:
        """Whether it is an application of the directory, by its client id, and not Exchange."""
        return self.directory.application(resource) is not None

    def _resource(self, scope: str) -> str:
        """Exchange's address, or the client id of the application that the scope belongs to."""
        resource = scope.rpartition("/")[0]
        if self._is_ours(resource.removeprefix("api://")):
            return resource.removeprefix("api://")
        if resource not in RESOURCES:
            raise Refused(
                "invalid_resource", 500011, f"The resource principal named {resource} was not found."
            )
        return resource

    def _id_token(self, application: Application, account: Account, nonce: str) -> str:
        claims: dict[str, Any] = {
            "aud": application.client_id,
            "iss": f"{self.base}/{account.tenant}/v2.0",
            "tid": account.tenant,
            "sub": account.id,
            "oid": account.id,
            "name": account.name,
            "preferred_username": account.user_name,
            "ver": "2.0",
        }
        if nonce:
            claims["nonce"] = nonce
        if roles := account.app_roles.get(application.client_id):
            claims["roles"] = roles
        return self._key.sign(self._times() | claims)

    def _times(self) -> dict[str, int]:
        now = int(self._now())
        return {"iat": now, "nbf": now, "exp": now + self.token_life}
