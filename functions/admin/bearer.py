"""Access tokens of scripts: issued by Entra ID for this application, with the administrators' role.

Source: *Access tokens in the Microsoft identity platform*, RFC 7517, RFC 7519.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
import jwt

from functions.admin.session import Administrator

ROLE = "Calendar.Admin"
"""The app role that lets somebody in."""

_KEYS_LIFE = 24 * 3600.0
_PAUSE = 60.0
"""Seconds after which the keys are asked for again because of a token that none of them signed."""

_LEEWAY = 60
"""Seconds by which clocks may differ."""


class TokenRefused(Exception):
    """The token is none, is forged, is over, or is for somebody else; the text says which."""


class RoleMissing(Exception):
    """The token is sound, but its owner is no administrator."""


class KeysUnavailable(Exception):
    """Entra ID's keys cannot be read at present."""


class BearerTokens:
    """Verifies access tokens of one application of one tenant. ``base`` is Entra ID's address."""

    def __init__(
        self,
        base: str,
        tenant_id: str,
        client_id: str,
        tls: ssl.SSLContext,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._base = base
        self._metadata = f"{base}/{tenant_id}/v2.0/.well-known/openid-configuration"
        self._client_id = client_id
        self._tls = tls
        self._clock = clock
        self._one = asyncio.Lock()
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = -_KEYS_LIFE

    async def verify(self, token: str) -> Administrator:
        """Whose token it is. Raises TokenRefused, RoleMissing, KeysUnavailable."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenRefused("It is no token.") from None
        if header.get("alg") != "RS256":
            raise TokenRefused("It is not signed with RS256.")
        key = await self._key(str(header.get("kid", "")))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                ["RS256"],
                audience=self._client_id,
                issuer=self._issuer,
                leeway=_LEEWAY,
                # An id token has no azp: it says who somebody is, not what they may do here.
                options={"require": ["exp", "nbf", "iss", "aud", "azp"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(f"{error}.") from None
        roles = claims.get("roles")
        if not isinstance(roles, list) or ROLE not in roles:
            raise RoleMissing(f"The token lacks the role {ROLE}.")
        name = claims.get("preferred_username") or claims.get("name") or f"application {claims['azp']}"
        return Administrator(str(claims.get("oid") or claims["azp"]), str(name))

    async def _key(self, kid: str) -> jwt.PyJWK:
        async with self._one:
            age = self._clock() - self._read_at
            if age >= _KEYS_LIFE or (kid not in self._keys and age >= _PAUSE):
                await self._read_keys()
        if kid not in self._keys:
            raise TokenRefused("It is signed with an unknown key.")
        return self._keys[kid]

    async def _read_keys(self) -> None:
        try:
            async with httpx.AsyncClient(verify=self._tls, timeout=10, follow_redirects=False) as client:
                metadata = (await client.get(self._metadata)).raise_for_status().json()
                if not metadata["jwks_uri"].startswith(f"{self._base}/"):
                    raise KeysUnavailable("Entra ID names keys of another address.")
                rows = (await client.get(metadata["jwks_uri"])).raise_for_status().json()["keys"]
            self._keys = {str(row["kid"]): jwt.PyJWK(row, "RS256") for row in rows if row.get("kty") == "RSA"}
            self._issuer = str(metadata["issuer"])
            self._read_at = self._clock()
        except (httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise KeysUnavailable("Entra ID's keys cannot be read at present.") from error
