"""Requests with a token: to whom it goes, and what follows a refusal."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from shared.auth.bearer import BearerTransport
from shared.auth.clouds import Cloud
from shared.errors import ExchangeUnavailable, SettingsError, SignInRefused
from shared.ews.transport import Answer, tls_context
from tests.unit.auth.conftest import Clock

EWS = Cloud.WORLDWIDE.ews_url
TLS = tls_context()


class Tokens:
    """Gives token-1, then another each time one was refused."""

    def __init__(self) -> None:
        self.number = 1
        self.closed = False
        self.asked: list[str] = []

    async def token(self, refused: str = "") -> str:
        self.asked.append(refused)
        if refused == f"token-{self.number}":
            self.number += 1
        return f"token-{self.number}"

    async def aclose(self) -> None:
        self.closed = True


class Exchange:
    """Accepts one token and notes what it was sent."""

    def __init__(self, accepts: str = "token-1") -> None:
        self.accepts = accepts
        self.requests: list[httpx.Request] = []
        self.lose = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("gone", request=request)
        right = request.headers["authorization"] == f"Bearer {self.accepts}"
        return httpx.Response(200 if right else 401, content=b"<x/>" if right else b"")


def transport_to(
    exchange: Exchange, tokens: Tokens, clock: Clock | None = None, urls: tuple[str, ...] = (EWS,)
) -> BearerTransport:
    double = httpx.MockTransport(exchange)
    return BearerTransport(tokens, TLS, urls, transport=double, now=clock or Clock())


async def ask(transport: BearerTransport, url: str = EWS) -> Answer:
    return await transport.post(url, {"content-type": "text/xml"}, b"<q/>")


async def test_a_request_carries_the_token() -> None:
    exchange, tokens = Exchange(), Tokens()
    transport = transport_to(exchange, tokens)
    answer = await ask(transport)
    assert (answer.status, answer.body) == (200, b"<x/>")
    [request] = exchange.requests
    assert (request.headers["authorization"], request.content) == ("Bearer token-1", b"<q/>")
    assert (request.headers["content-type"], tokens.asked) == ("text/xml", [""])
    await transport.aclose()
    assert tokens.closed


async def test_after_a_401_it_is_sent_once_more_with_another_token() -> None:
    exchange, tokens = Exchange("token-2"), Tokens()
    transport = transport_to(exchange, tokens)
    assert (await ask(transport)).status == 200
    assert [r.headers["authorization"] for r in exchange.requests] == ["Bearer token-1", "Bearer token-2"]
    assert tokens.asked == ["", "token-1"]
    await ask(transport)
    assert len(exchange.requests) == 3


async def test_who_is_refused_twice_gives_up_and_leaves_exchange_alone_for_a_while(clock: Clock) -> None:
    exchange, tokens = Exchange("none"), Tokens()
    transport = transport_to(exchange, tokens, clock)
    for _ in range(3):
        with pytest.raises(SignInRefused, match="full_access_as_app") as caught:
            await ask(transport)
    assert caught.value.code == "HTTP 401"
    assert len(exchange.requests) == 2
    clock.forward(timedelta(minutes=15))
    exchange.accepts = "token-2"
    assert (await ask(transport)).status == 200


async def test_other_answers_are_given_as_they_are() -> None:
    transport = BearerTransport(
        Tokens(), TLS, (EWS,), transport=httpx.MockTransport(lambda request: httpx.Response(403))
    )
    assert (await ask(transport)).status == 403


async def test_redirections_are_not_followed() -> None:
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://evil.example.com/"})

    transport = BearerTransport(Tokens(), TLS, (EWS,), transport=httpx.MockTransport(redirect))
    assert (await ask(transport)).status == 307
    assert asked == ["outlook.office365.com"]


async def test_a_lost_connection_is_tried_once_more() -> None:
    exchange = Exchange()
    exchange.lose = 1
    assert (await ask(transport_to(exchange, Tokens()))).status == 200
    exchange.lose = 2
    with pytest.raises(ExchangeUnavailable):
        await ask(transport_to(exchange, Tokens()))


@pytest.mark.parametrize(
    "url",
    [
        "http://outlook.office365.com/EWS/Exchange.asmx",
        "http://outlook.office365.com:443/EWS/Exchange.asmx",
        "https://outlook.office365.com.evil.example.com/EWS/Exchange.asmx",
        "https://evil.example.com/outlook.office365.com",
        "https://outlook.office365.com@evil.example.com/",
        "https://user@outlook.office365.com/EWS/Exchange.asmx",
        "https://outlook.office365.com:8443/EWS/Exchange.asmx",
        "https://outlook.office365.com:port/EWS/Exchange.asmx",
        "https://outlook.office365.us/EWS/Exchange.asmx",
        "ftp://outlook.office365.com/",
        "https:///EWS/Exchange.asmx",
        "outlook.office365.com",
        "",
    ],
)
async def test_a_token_never_goes_to_a_foreign_host_or_over_http(url: str) -> None:
    exchange, tokens = Exchange(), Tokens()
    transport = transport_to(exchange, tokens, urls=(EWS, "http://plain.example.com/", "not an address"))
    with pytest.raises(SettingsError, match="tokens are sent over https"):
        await ask(transport, url)
    assert (exchange.requests, tokens.asked) == ([], [])


async def test_a_host_that_was_configured_gets_it_too() -> None:
    exchange = Exchange()
    transport = transport_to(
        exchange, Tokens(), urls=(EWS, "https://Exchange.example.com:8443/EWS/Exchange.asmx")
    )
    await ask(transport, "https://exchange.example.com:8443/EWS/Exchange.asmx")
    await ask(transport, "https://OUTLOOK.office365.com:443/EWS/Exchange.asmx")
    assert len(exchange.requests) == 2


async def test_several_requests_are_under_way_at_once() -> None:
    under_way, most = 0, 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return httpx.Response(200)

    transport = BearerTransport(Tokens(), TLS, (EWS,), connections=4, transport=httpx.MockTransport(slow))
    await asyncio.gather(*(ask(transport) for _ in range(4)))
    assert most == 4
