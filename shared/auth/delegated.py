"""Delegated sign-in: somebody signs in once, and the service goes on with the refresh token.

All instances share the tokens. Who renews them claims the record first, so that a refresh token is used
once; the others wait for the result. Entra ID offers no way to end one refresh token: to revoke means to
forget it here; an administrator revokes the account's sessions in Entra ID.

Sources: *Authorization code flow on the Microsoft identity platform*, RFC 7636 (PKCE), RFC 9700.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msal  # type: ignore[import-untyped]

from shared.auth.entra import Pause, Registration, Wire, access_in, open_application, utc_now
from shared.auth.refusals import RARELY, SOON, Meaning, Refusal, refusal_of
from shared.auth.sign_in import Access, Held, SignIn, SignInStore
from shared.errors import ExchangeError, ExchangeUnavailable, SettingsError, SignInRefused, StateConflict

FLOW_LIFE = timedelta(minutes=10)
"""How long somebody may take over the sign-in."""

MEMORY = timedelta(minutes=1)
"""How long a process goes on with a token before it looks whether the sign-in was revoked or renewed."""

CLAIM = timedelta(minutes=1)
"""How long an instance may take to renew: longer than the connection's own deadlines."""

_POLL = 0.2


class DelegatedTokens:
    """Access tokens of the account that signed in.

    Raises SettingsError for a registration that can't be used.
    """

    def __init__(
        self,
        registration: Registration,
        tls: ssl.SSLContext,
        store: SignInStore,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        registration.credential()
        self._registration = registration
        self._wire = Wire(registration.base, tls)
        self._store = store
        self._now = now
        self._cache = msal.SerializableTokenCache()
        self._application: Any = None
        self._access: Access | None = None
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._pause = Pause(now)
        self._one = asyncio.Lock()

    async def begin(self, redirect_uri: str, user: str = "") -> str:
        """Begin a sign-in; return the address to send the browser to.

        Entra ID posts its answer to ``redirect_uri`` as a form. ``user`` is the account to suggest.
        Raises ExchangeError.
        """
        async with self._one:
            flow = await asyncio.to_thread(self._initiate, redirect_uri, user)
        now = self._now()
        await self._store.keep_flow(flow["state"], json.dumps(flow), now + FLOW_LIFE, now)
        return str(flow["auth_uri"])

    async def complete(self, answer: Mapping[str, str]) -> SignIn:
        """Complete a sign-in with the form that Entra ID posted, and store it in place of any other.

        Raises ExchangeError: SignInRefused where it was refused, is not ours, too late or a repetition.
        """
        kept = await self._store.take_flow(answer.get("state", ""), self._now())
        if kept is None:
            raise SignInRefused(
                "SignInUnknown",
                "This sign-in was not begun here, took longer than ten minutes, or is over. Begin it again.",
            )
        async with self._one:
            sign_in = await asyncio.to_thread(self._redeem, json.loads(kept), dict(answer))
            await self._store.put(sign_in)
            self._access = None
            self._pause = Pause(self._now)
        return sign_in

    async def state(self) -> SignIn | None:
        """The sign-in, or None where there is none. Raises SettingsError where no key decrypts it."""
        held = await self._store.load()
        return held.sign_in if held else None

    async def revoke(self) -> None:
        """Forget the sign-in; other instances follow within `MEMORY`."""
        async with self._one:
            await self._store.delete()
            self._access = None

    async def token(self, refused: str = "") -> str:
        """An access token for Exchange, another one than ``refused``.

        Raises ExchangeError: SignInRefused where somebody has to sign in.
        """
        async with self._one:
            now = self._now()
            fresh = now - self._read_at < MEMORY
            if fresh and self._access and self._access.serves(now, refused):
                return self._access.token
            self._pause.check()
            try:
                self._access = await self._find(refused)
            except SettingsError as error:
                raise SignInRefused("EncryptionKey", str(error), retry_after=RARELY) from error
            self._read_at = now
            return self._access.token

    async def aclose(self) -> None:
        """Close the connections."""
        self._wire.close()

    async def _find(self, refused: str) -> Access:
        """The stored token, or a new one, renewed by whoever claims that first."""
        began = self._now()
        while self._now() - began < CLAIM:
            held = await self._store.load()
            if held is None:
                raise _not_signed_in()
            if held.sign_in.refused:
                raise ended(held.sign_in.refused)
            now = self._now()
            self._check_ours(held.sign_in)
            if held.sign_in.access and held.sign_in.access.serves(now, refused):
                return held.sign_in.access
            if held.claimed_until and now < held.claimed_until:
                await asyncio.sleep(_POLL)
                continue
            try:
                claimed = await self._store.replace(held, held.sign_in, now + CLAIM)
                renewed = await self._renew(claimed)
                await self._store.replace(claimed, renewed)
            except StateConflict:
                continue  # another instance was first, or somebody signed in or revoked meanwhile
            if renewed.access:
                return renewed.access
            raise ended(renewed.refused)
        raise ExchangeUnavailable("SignInBusy", "Another instance renews the tokens. Wait.", retry_after=SOON)

    def _check_ours(self, sign_in: SignIn) -> None:
        """Raises SignInRefused for a sign-in to another registration."""
        cache = msal.SerializableTokenCache()
        cache.deserialize(sign_in.cache)
        ours = {
            "client_id": self._registration.client_id,
            "environment": self._registration.environment,
        }
        if not list(cache.search(cache.CredentialType.REFRESH_TOKEN, query=ours)):
            raise _not_signed_in()

    async def _renew(self, held: Held) -> SignIn:
        """The sign-in with new tokens, or with the code that ended it."""
        try:
            outcome = await asyncio.to_thread(self._refresh, held.sign_in.cache)
            if isinstance(outcome, Refusal) and outcome.meaning is not Meaning.SIGN_IN:
                raise outcome.error()
        except ExchangeError as error:
            self._pause.begin(error)
            await self._store.replace(held, held.sign_in)
            raise
        if isinstance(outcome, Refusal):
            return replace(held.sign_in, access=None, cache="", refused=outcome.code)
        cache = self._cache.serialize()
        return replace(held.sign_in, access=outcome, cache=cache, renewed_at=self._now())

    # ---- in threads, one at a time

    def _open(self) -> Any:
        if self._application is None:
            self._application = open_application(self._registration, self._wire, self._cache)
        return self._application

    def _initiate(self, redirect_uri: str, user: str) -> dict[str, Any]:
        flow: dict[str, Any] = self._open().initiate_auth_code_flow(
            self._registration.scopes,
            redirect_uri=redirect_uri,
            login_hint=user or None,
            # Keeps the code out of addresses, and with them out of logs.
            response_mode="form_post",
        )
        return flow

    def _redeem(self, flow: dict[str, Any], answer: dict[str, str]) -> SignIn:
        asked = self._now()
        self._cache.deserialize("")
        try:
            result = self._open().acquire_token_by_auth_code_flow(flow, answer)
        except (ValueError, RuntimeError):
            # MSAL's word for a wrong state or nonce; it quotes them
            raise SignInRefused(
                "SignInUnknown", "The answer is not for this sign-in. Begin it again."
            ) from None
        if "access_token" not in result:
            raise refusal_of(result).error()
        if "refresh_token" not in result:
            raise SignInRefused(
                "NoRefreshToken", "exchange.client_id: Entra ID gave no refresh token. Allow offline_access."
            )
        now = self._now()
        account = str(result.get("id_token_claims", {}).get("preferred_username", ""))
        return SignIn(account, now, now, access_in(result, asked), self._cache.serialize())

    def _refresh(self, cache: str) -> Access | Refusal:
        """Renew the tokens in the cache; or why not, if Entra ID refuses."""
        asked = self._now()
        application = self._open()
        self._cache.deserialize(cache)
        account = next(iter(application.get_accounts()), None)
        result = application.acquire_token_silent_with_error(
            self._registration.scopes, account, force_refresh=True
        )
        if result is None:
            raise _not_signed_in()
        return access_in(result, asked) if "access_token" in result else refusal_of(result)


def _not_signed_in() -> SignInRefused:
    return SignInRefused(
        "NotSignedIn",
        "exchange.user: nobody has signed in with these settings. Sign in with Authenticate.",
        retry_after=RARELY,
    )


def ended(code: str) -> ExchangeError:
    """What the code means that ended a sign-in: `SignIn.refused`."""
    word = "invalid_grant" if code.startswith("AADSTS") else code
    return refusal_of({"error": word, "error_description": code}).error()
