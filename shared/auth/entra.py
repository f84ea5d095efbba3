"""How this service is registered in Entra ID, and the way to Entra ID's sign-in.

MSAL speaks OAuth 2; it is given an HTTP client of ours, which verifies as the rest of the service does,
sends credentials nowhere but to the registration's own authority, and follows no redirection.

Source: *MSAL Python*, ``ConfidentialClientApplication`` and ``msal.oauth2cli.http.HttpClient``.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import httpx
import msal  # type: ignore[import-untyped]

from shared.auth.certificate import read_certificate
from shared.auth.clouds import Cloud
from shared.auth.refusals import RARELY, SOON, refusal_of
from shared.auth.sign_in import Access
from shared.errors import ExchangeError, ExchangeUnavailable, SettingsError, SignInRefused

logging.getLogger("msal").setLevel(logging.CRITICAL)  # it logs answers, and with them tokens

ANY_ORGANIZATION = "organizations"
"""The tenant to sign in at where accounts of several organizations may."""


def utc_now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


class Tokens(Protocol):
    """Where a transport gets its tokens from."""

    async def token(self, refused: str = "") -> str:
        """An access token for Exchange, another one than ``refused``. Raises ExchangeError."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """The application as it is registered. ``certificate`` (PEM with its key) goes before ``secret``.

    ``tenant`` is an id, a domain, or `ANY_ORGANIZATION`. ``scope`` and ``authority`` (an https address
    without a path) are the cloud's where they are empty.
    """

    client_id: str
    tenant: str
    secret: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    cloud: Cloud = Cloud.WORLDWIDE
    scope: str = ""
    authority: str = ""

    @property
    def scopes(self) -> list[str]:
        """What tokens are asked for with."""
        return (self.scope or self.cloud.scope).split()

    @property
    def base(self) -> str:
        """Where it signs in, whatever the tenant."""
        return (self.authority or self.cloud.authority).rstrip("/")

    @property
    def environment(self) -> str:
        """What MSAL calls the authority in its cache."""
        return urlsplit(self.base).hostname or ""

    def credential(self) -> str | dict[str, str]:
        """Secret or certificate as MSAL wants it. Raises SettingsError."""
        if self.certificate:
            pair = read_certificate(self.certificate)
            return {"private_key": pair.key, "public_certificate": pair.certificate}
        if not self.secret:
            raise SettingsError(
                "exchange.client_secret", "it is missing", "Enter the secret, or a certificate with its key."
            )
        return self.secret


def access_in(result: Mapping[str, Any], asked: datetime) -> Access:
    """The access token of an answer to a request that was sent at ``asked``."""
    return Access(result["access_token"], asked + timedelta(seconds=int(result["expires_in"])))


class Pause:
    """Keeps from asking again before the time that an error named."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._error: ExchangeError | None = None
        self._until: datetime | None = None

    def begin(self, error: ExchangeError) -> None:
        """Remember the error for as long as its ``retry_after``."""
        self._error, self._until = error, self._now() + (error.retry_after or timedelta(0))

    def check(self) -> None:
        """Raise the remembered error, with the time that is left, while that has not passed."""
        if self._error is None or self._until is None or (left := self._until - self._now()) <= timedelta(0):
            return
        raise type(self._error)(self._error.code, str(self._error), retry_after=left)


class Wire:
    """The HTTP client for MSAL: to one origin only, no redirection, errors of ours. Used in threads."""

    def __init__(self, base: str, tls: ssl.SSLContext) -> None:
        if urlsplit(base).scheme != "https":
            raise SettingsError("exchange.cloud", "the sign-in is not https", "Choose a cloud.")
        self._base = base
        self._client = httpx.Client(verify=tls, timeout=httpx.Timeout(20, connect=10), follow_redirects=False)

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        """Read metadata. Raises ExchangeError for anything but the metadata."""
        response = self._send("GET", url, params, headers, None)
        if response.status_code != 200:
            raise refusal_of(response.json()).error()
        return response

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> httpx.Response:
        """Ask for tokens. Raises ExchangeError where the answer is neither tokens nor a refusal."""
        content = urlencode(data or {}).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self._send("POST", url, params, {**(headers or {}), **kind}, content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        content: bytes | None,
    ) -> httpx.Response:
        if not url.startswith(f"{self._base}/"):
            # the metadata of a tenant of another cloud names that cloud's endpoints
            raise refusal_of({"error_codes": [90038]}).error()
        try:
            response = self._client.request(method, url, params=params, headers=headers, content=content)
        except httpx.HTTPError as error:
            raise _no_answer(error) from error
        if response.status_code == 429 or response.status_code >= 500:
            raise ExchangeUnavailable(
                f"HTTP {response.status_code}",
                "Entra ID is not available at present. Nothing is lost; wait.",
                retry_after=_retry_after(response) or SOON,
            )
        try:
            sound = isinstance(json.loads(response.content), dict)
        except ValueError:
            sound = False
        if not sound:
            raise ExchangeUnavailable(
                "SignInUnreadable",
                "Something else than Entra ID answers at the sign-in's address. Check firewall and proxy.",
                retry_after=timedelta(minutes=5),
            )
        return response


def open_application(
    registration: Registration, wire: Wire, cache: msal.SerializableTokenCache | None = None
) -> msal.ConfidentialClientApplication:
    """MSAL's application; blocks while it reads the tenant's metadata.

    Raises SettingsError for a credential that can't be used, and ExchangeError.
    """
    credential = registration.credential()
    try:
        return msal.ConfidentialClientApplication(
            registration.client_id,
            client_credential=credential,
            authority=f"{registration.base}/{registration.tenant}",
            # The authorities are known; MSAL would ask the worldwide cloud about them.
            instance_discovery=False,
            http_client=wire,
            token_cache=cache,
        )
    except (ValueError, KeyError):
        # without its cause, which may quote the credential
        raise SignInRefused(
            "SignInSettings",
            "exchange.tenant_id: Entra ID's answer for this tenant makes no sense. Check tenant and cloud.",
            retry_after=RARELY,
        ) from None


def _no_answer(error: httpx.HTTPError) -> ExchangeUnavailable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ExchangeUnavailable(
                "SignInCertificate",
                "The certificate of Entra ID's sign-in is not trusted. A firewall or proxy replaces it.",
                retry_after=timedelta(minutes=5),
            )
        cause = cause.__cause__ or cause.__context__
    return ExchangeUnavailable(
        "SignInUnreachable",
        "Entra ID's sign-in cannot be reached. Check firewall, proxy and DNS, and exchange.cloud.",
        retry_after=SOON,
    )


def _retry_after(response: httpx.Response) -> timedelta | None:
    value = response.headers.get("retry-after", "").strip()
    return timedelta(seconds=int(value[:5])) if value.isascii() and value.isdigit() else None
