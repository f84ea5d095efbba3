"""NTLM: a connection signs in, not a request, so each lane is one connection with one request at a time.

A cold lane takes two round trips: Type 1 without a body, then Type 3 with it; a warm one takes one. Wrong
passwords are tried once, and never by several lanes at the same time, since repeats lock the account.

Sources: MS-NTHT (NTLM over HTTP), MS-NLMP (the tokens, which pyspnego makes), RFC 5929 (channel binding).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import spnego
from spnego.channel_bindings import GssChannelBindings

from shared.auth.channel_binding import ChannelBinding, binding_of
from shared.auth.lanes import MOST_REQUESTS, Lane, Lanes
from shared.errors import ExchangeUnavailable, SettingsError, SignInRefused
from shared.ews.failures import http_failure
from shared.ews.transport import CONNECTION_LOST, Answer, open_client, send

logging.getLogger("spnego").setLevel(logging.INFO)  # its debug lines hold the tokens


_CHALLENGE = re.compile(r"\bNTLM ([A-Za-z0-9+/=]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Handshake:
    """How one ended: with which answer, and whether Exchange took Type 3, and that held a binding."""

    answer: Answer
    signed_in: bool
    bound: bool


class NtlmLanes:
    """Requests signed in with NTLM as ``user`` (``DOMAIN\\name`` or ``name@domain``), ``lanes`` at a time.

    A lane gets another connection after ``most_requests``.

    ``channel_binding`` *auto* sends it, and after a refusal tries once without. Credentials go to https
    only, unless ``allow_plain_http``. ``connect`` makes a lane's httpx transport: a test double, or None.
    """

    def __init__(
        self,
        user: str,
        password: str,
        tls: ssl.SSLContext,
        *,
        lanes: int = 8,
        most_requests: int = MOST_REQUESTS,
        channel_binding: ChannelBinding = "auto",
        allow_plain_http: bool = False,
        connect: Callable[[], httpx.AsyncBaseTransport | None] = lambda: None,
    ) -> None:
        self._user = user
        self._password = password
        self._allow_plain_http = allow_plain_http
        self._configured: tuple[bool, ...] = {"auto": (True, False), "on": (True,), "off": (False,)}[
            channel_binding
        ]
        self._bindings = self._configured
        self._lanes = Lanes(
            lambda: open_client(tls, connections=1, transport=connect()), lanes, most_requests
        )
        self._first = asyncio.Lock()
        self._proven = False
        self._refused_until = 0.0

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request on the next free lane, once more if its connection turned out to be closed.

        Raises SignInRefused for a wrong password, and ExchangeError where no answer came.
        """
        if urlsplit(url).scheme != "https" and not self._allow_plain_http:
            raise SettingsError("exchange.url", "credentials are not sent over http", "Use https.")
        async with self._lanes.take() as lane:
            try:
                return await self._send(lane, url, headers, body)
            except ExchangeUnavailable as error:
                if error.code != CONNECTION_LOST:
                    raise
                lane.warm = False
            return await self._send(lane, url, headers, body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lanes.aclose()

    async def _send(self, lane: Lane, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if lane.warm:
            answer = await send(lane.client, url, headers, body)
            lane.warm = answer.status != 401 and _stays(answer)
            if answer.status != 401:
                return answer  # else the connection was replaced meanwhile
        async with self._first:
            self._raise_if_refused(url)
            if not self._proven:
                return await self._sign_in(lane, url, headers, body)
        return await self._sign_in(lane, url, headers, body)

    async def _sign_in(self, lane: Lane, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        for binding in self._bindings:
            tried = await self._handshake(lane, url, headers, body, bind=binding)
            if tried.signed_in:
                self._proven = True
                self._bindings = (binding,)  # a changed password then costs one attempt, not two
            if tried.answer.status != 401:
                return tried.answer
            if not tried.bound:
                break
        self._proven = False
        self._bindings = self._configured
        error = http_failure(401, {}, b"", url)
        pause = error.retry_after or timedelta(0)
        self._refused_until = asyncio.get_running_loop().time() + pause.total_seconds()
        raise error

    def _raise_if_refused(self, url: str) -> None:
        left = self._refused_until - asyncio.get_running_loop().time()
        if left > 0:
            error = http_failure(401, {}, b"", url)
            error.retry_after = timedelta(seconds=left)
            raise error

    async def _handshake(
        self, lane: Lane, url: str, headers: Mapping[str, str], body: bytes, *, bind: bool
    ) -> _Handshake:
        """Type 1, and where Exchange asks for it Type 3 with the request.

        Raises ExchangeUnavailable where the connection does not last from Type 1 to Type 3.
        """
        for _ in range(2):
            context = spnego.client(
                self._user,
                self._password,
                hostname=urlsplit(url).hostname or "",
                service="HTTP",
                protocol="ntlm",
                options=spnego.NegotiateOptions.use_ntlm,
            )
            opening = await send(lane.client, url, {**headers, "authorization": _token(context.step())}, b"")
            if opening.status != 401:
                return _Handshake(opening, signed_in=False, bound=False)
            challenge = _challenge(opening)
            data = binding_of(opening.connection) if bind else None
            bindings = None if data is None else GssChannelBindings(application_data=data)
            try:
                reply = context.step(challenge, channel_bindings=bindings)
            except Exception as error:  # pyspnego lets struct.error and others through for broken tokens
                raise _broken("NtlmChallenge", "Exchange's NTLM challenge is damaged.") from error
            answer = await send(lane.client, url, {**headers, "authorization": _token(reply)}, body)
            signed_in = answer.status != 401
            if signed_in or answer.connection is opening.connection:
                lane.warm = signed_in and _stays(answer)
                return _Handshake(answer, signed_in, bound=bindings is not None)
        raise _broken(
            "NtlmConnection",
            "The connection to Exchange is closed in the middle of the NTLM sign-in. Let the proxy or load "
            "balancer before Exchange keep connections.",
        )


def _stays(answer: Answer) -> bool:
    return answer.headers.get("connection", "").lower() != "close"


def _token(token: bytes | None) -> str:
    return "NTLM " + base64.b64encode(token or b"").decode()


def _broken(code: str, text: str) -> ExchangeUnavailable:
    return ExchangeUnavailable(code, text, retry_after=timedelta(minutes=1))


def _challenge(answer: Answer) -> bytes:
    """The Type 2 token of a 401. Raises SignInRefused where NTLM is not on offer."""
    match = _CHALLENGE.search(answer.headers.get("www-authenticate", ""))
    if match is None:
        raise SignInRefused(
            "NtlmNotOffered",
            "Exchange does not offer NTLM at this address. Enable Windows authentication (NTLM) on the EWS "
            "virtual directory.",
            retry_after=timedelta(minutes=15),
        )
    try:
        return base64.b64decode(match[1])
    except binascii.Error as error:
        raise _broken("NtlmChallenge", "Exchange's NTLM challenge is damaged.") from error
