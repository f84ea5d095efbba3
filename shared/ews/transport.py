"""How a request reaches Exchange: one POST, one answer, whatever the way of signing in."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

import httpx

from shared.errors import ExchangeError, ExchangeUnavailable, MailboxError, SettingsError
from shared.ews.envelope import MAX_BODY, unreadable

DEADLINE = timedelta(minutes=2)
"""For one request with its whole answer."""

CONNECTION_LOST = "ConnectionLost"

_SOON = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: header names in lower case, the body decompressed.

    ``connection`` is the one that carried it, where that is known; NTLM signs in connections.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    connection: object | None = field(default=None, compare=False, repr=False)


class Transport(Protocol):
    """What the client needs of a way of signing in."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request, following no redirection. Raises ExchangeError where no answer came."""
        ...


def tls_context(ca_pem: str = "") -> ssl.SSLContext:
    """Verifies servers against the well-known authorities and, if given, one more (PEM).

    Raises SettingsError for a PEM that holds no certificate.
    """
    context = httpx.create_ssl_context()
    if ca_pem.strip():
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise SettingsError(
                "exchange.certificate",
                "it holds no certificate",
                "Paste the authority's certificate as PEM.",
            ) from error
        # Authorities of one's own, Exchange's self-signed certificate among them, often lack the extensions
        # that RFC 5280 asks for and Python insists on. Chain, name and validity are still verified.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def open_client(
    tls: ssl.SSLContext, *, connections: int, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """An HTTP client that keeps up to ``connections`` for 60 s, follows no redirection, keeps no cookie.

    Exchange's cookies pin a mailbox's requests to a server; here mailboxes share connections.
    """
    return httpx.AsyncClient(
        verify=tls,
        transport=transport,
        follow_redirects=False,
        timeout=httpx.Timeout(60, connect=10),
        limits=httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
        ),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": "innovaphone-calendar-presence"},
    )


def _causes(error: BaseException | None) -> set[type]:
    kinds: set[type] = set()
    while error is not None:
        kinds.add(type(error))
        error = error.__cause__ or error.__context__
    return kinds


def _connection_failure(error: Exception) -> ExchangeError:
    """What an exception of httpx means. Its text is left out: it may hold addresses."""
    if isinstance(error, httpx.DecodingError):
        return unreadable("its compression is damaged")
    if ssl.SSLCertVerificationError in _causes(error):
        return ExchangeUnavailable(
            "Certificate",
            "The certificate of Exchange is not trusted or is for another name. Renew it, correct the "
            "address, or configure the authority that issued it.",
            retry_after=timedelta(minutes=5),
        )
    if socket.gaierror in _causes(error):
        return ExchangeUnavailable(
            "NoConnection",
            "The host name of Exchange is not known. Correct the address, or have the name entered in DNS.",
            retry_after=_SOON,
        )
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return ExchangeUnavailable(
            "NoConnection",
            "Exchange cannot be reached. Check the address, the firewall, and that it offers TLS 1.2.",
            retry_after=_SOON,
        )
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        # one slow mailbox must not stop the others
        return MailboxError(
            "Timeout", "Exchange took too long over this mailbox. Wait.", retry_after=timedelta(minutes=1)
        )
    return ExchangeUnavailable(
        CONNECTION_LOST, "Exchange broke the connection off. Wait; check its services.", retry_after=_SOON
    )


async def send(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, *, method: str = "POST"
) -> Answer:
    """One request with one answer of at most ``MAX_BODY`` bytes. Raises ExchangeError where none came."""
    try:
        async with (
            asyncio.timeout(DEADLINE.total_seconds()),
            client.stream(method, url, headers=headers, content=body) as response,
        ):
            received = bytearray()
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > MAX_BODY:
                    raise unreadable(f"it is bigger than {MAX_BODY // 1024**2} MiB")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise _connection_failure(error) from error
    return Answer(
        response.status_code,
        dict(response.headers),
        bytes(received),
        response.extensions.get("network_stream"),
    )


class HttpTransport:
    """A transport that signs in nowhere: for tests, and to be wrapped by one that adds a token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request; once more if a kept connection turned out to be closed."""
        try:
            return await send(self._client, url, headers, body)
        except ExchangeUnavailable as error:
            if error.code != CONNECTION_LOST:
                raise
        return await send(self._client, url, headers, body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
