"""Application-only sign-in: the service signs in as itself.

Source: *OAuth 2.0 client credentials flow on the Microsoft identity platform*.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.auth.entra import (
    ANY_ORGANIZATION,
    Pause,
    Registration,
    Wire,
    access_in,
    open_application,
    utc_now,
)
from shared.auth.refusals import RARELY, Meaning, refusal_of
from shared.auth.sign_in import Access
from shared.errors import ExchangeError, ExchangeUnavailable, SettingsError, SignInRefused


class ApplicationTokens:
    """Access tokens of the application itself, kept until shortly before their end, got one at a time.

    Raises SettingsError for a registration that can't be used.
    """

    def __init__(
        self, registration: Registration, tls: ssl.SSLContext, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        if registration.tenant in ("", ANY_ORGANIZATION):
            raise SettingsError("exchange.tenant_id", "it is missing", "Enter the directory (tenant) ID.")
        registration.credential()
        self._registration = registration
        self._wire = Wire(registration.base, tls)
        self._now = now
        self._application: Any = None
        self._access: Access | None = None
        self._pause = Pause(now)
        self._one = asyncio.Lock()

    async def token(self, refused: str = "") -> str:
        """An access token for Exchange, another one than ``refused``.

        While Entra ID can't be reached a token is used to its end. Raises ExchangeError.
        """
        async with self._one:
            if self._access and self._access.serves(self._now(), refused):
                return self._access.token
            try:
                self._pause.check()
                self._access = await asyncio.to_thread(self._acquire)
            except ExchangeUnavailable as error:
                self._pause.begin(error)
                if (
                    self._access
                    and not isinstance(error, SignInRefused)
                    and self._lasts(self._access, refused)
                ):
                    return self._access.token
                raise
            return self._access.token

    async def aclose(self) -> None:
        """Close the connections."""
        self._wire.close()

    def _lasts(self, access: Access, refused: str) -> bool:
        return access.token != refused and self._now() < access.ends

    def _acquire(self) -> Access:
        if self._application is None:
            self._application = open_application(self._registration, self._wire)
        self._application.remove_tokens_for_client()  # else MSAL would give the one it has
        asked = self._now()
        result = self._application.acquire_token_for_client(self._registration.scopes)
        if "access_token" not in result:
            raise application_error(result)
        return access_in(result, asked)


def application_error(result: dict[str, Any]) -> ExchangeError:
    """What a refusal means where nobody can be asked to sign in."""
    refusal = refusal_of(result)
    if refusal.meaning is not Meaning.SIGN_IN:
        return refusal.error()
    return SignInRefused(
        refusal.code,
        f"exchange.client_id: Entra ID refused the application with the code {refusal.code}. Check "
        "Conditional Access for workload identities.",
        retry_after=RARELY,
    )
