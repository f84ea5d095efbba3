"""The transport of Exchange in the cloud: requests with an access token, on several connections.

Source: *Authenticate an EWS application by using OAuth*, RFC 6750.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from shared.auth.entra import Pause, Tokens, utc_now
from shared.auth.lanes import MOST_REQUESTS, Lanes
from shared.auth.refusals import RARELY
from shared.errors import SettingsError, SignInRefused
from shared.ews.transport import Answer, HttpTransport, open_client


class BearerTransport:
    """Requests with a token from ``tokens``, which goes over https to the origins of ``urls`` only.

    Owns ``tokens``. A connection is replaced after ``most_requests``. ``transport`` is a test double.
    """

    def __init__(
        self,
        tokens: Tokens,
        tls: ssl.SSLContext,
        urls: Iterable[str],
        *,
        connections: int = 8,
        most_requests: int = MOST_REQUESTS,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._tokens = tokens
        self._origins = frozenset(filter(None, map(_origin, urls)))
        self._lanes = Lanes(
            lambda: open_client(tls, connections=1, transport=transport), connections, most_requests
        )
        self._pause = Pause(now)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request; after a 401 once more, with another token.

        Raises SignInRefused where that one is refused too, and ExchangeError where no answer came.
        """
        if _origin(url) not in self._origins:
            raise SettingsError(
                "exchange.url",
                "tokens are sent over https, and to Exchange only",
                "Leave it empty for the cloud's own address.",
            )
        self._pause.check()
        token = await self._tokens.token()
        answer = await self._send(url, headers, body, token)
        if answer.status != 401:
            return answer
        answer = await self._send(url, headers, body, await self._tokens.token(refused=token))
        if answer.status != 401:
            return answer
        error = SignInRefused(
            "HTTP 401",
            "Exchange refuses the application's token. In the app registration grant and consent to "
            "full_access_as_app (application-only) or EWS.AccessAsUser.All (delegated); check exchange.scope "
            "and exchange.cloud.",
            retry_after=RARELY,
        )
        self._pause.begin(error)
        raise error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lanes.aclose()
        await self._tokens.aclose()

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes, token: str) -> Answer:
        async with self._lanes.take() as lane:
            transport = HttpTransport(lane.client)
            return await transport.post(url, {**headers, "authorization": f"Bearer {token}"}, body)


def _origin(url: str) -> str:
    """Host and port of an https address without a user, else an empty string."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return ""
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        return ""
    return f"{parts.hostname}:{port}"
