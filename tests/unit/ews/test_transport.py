from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
import trustme

from shared.errors import ExchangeError, ExchangeUnavailable, MailboxError, SettingsError
from shared.ews import transport as module
from shared.ews.transport import Answer, HttpTransport, open_client, send, tls_context

URL = "https://mail.example.com/EWS/Exchange.asmx"


def client_to(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return open_client(tls_context(), connections=1, transport=httpx.MockTransport(handler))


async def post(handler: Callable[[httpx.Request], httpx.Response]) -> Answer:
    async with client_to(handler) as client:
        return await HttpTransport(client).post(URL, {"soapaction": "x"}, b"<question/>")


async def test_sends_one_post_and_returns_the_answer() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500, headers={"Retry-After": "5"}, content=b"<answer/>")

    answer = await post(handle)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (500, "5", b"<answer/>")
    (request,) = seen
    assert (request.method, str(request.url), request.content) == ("POST", URL, b"<question/>")
    assert request.headers["soapaction"] == "x"


async def test_follows_no_redirection_and_keeps_no_cookie() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "https://evil.example", "Set-Cookie": "a=b; Path=/"})

    async with client_to(handle) as client:
        for _ in range(2):
            assert (await send(client, URL, {}, b"")).status == 302
    assert [request.url.host for request in seen] == ["mail.example.com"] * 2
    assert not any("cookie" in request.headers for request in seen)


async def test_limits_the_decompressed_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 1000)

    def answer(size: int) -> Callable[[httpx.Request], httpx.Response]:
        packed = gzip.compress(b"x" * size)
        return lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=packed)

    assert len((await post(answer(1000))).body) == 1000
    with pytest.raises(MailboxError, match="bigger"):
        await post(answer(1001))


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (httpx.ConnectError("x"), ExchangeUnavailable, "NoConnection"),
        (httpx.ConnectTimeout("x"), ExchangeUnavailable, "NoConnection"),
        (httpx.PoolTimeout("x"), ExchangeUnavailable, "NoConnection"),
        (httpx.ReadTimeout("x"), MailboxError, "Timeout"),
        (httpx.WriteTimeout("x"), MailboxError, "Timeout"),
        (httpx.ReadError("x"), ExchangeUnavailable, "ConnectionLost"),
        (httpx.RemoteProtocolError("x"), ExchangeUnavailable, "ConnectionLost"),
        (httpx.DecodingError("x"), MailboxError, "Unreadable"),
    ],
)
async def test_a_missing_answer_becomes_an_error_of_ours(
    error: Exception, kind: type[ExchangeError], code: str
) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(ExchangeError) as caught:
        await post(handle)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.retry_after is not None


async def test_tells_a_name_that_nobody_knows_from_a_missing_server() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("x") from socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ExchangeUnavailable, match="host name") as caught:
        await post(handle)
    assert caught.value.code == "NoConnection"


async def test_tells_a_bad_certificate_from_a_missing_server() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        cause = OSError()
        cause.__context__ = ssl.SSLCertVerificationError("x")
        raise httpx.ConnectError("x") from cause

    with pytest.raises(ExchangeUnavailable, match="certificate") as caught:
        await post(handle)
    assert caught.value.code == "Certificate"


async def test_a_whole_answer_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE", timedelta(milliseconds=20))

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.005)

    with pytest.raises(MailboxError) as caught:
        await post(lambda _: httpx.Response(200, content=drip()))
    assert caught.value.code == "Timeout"


@pytest.mark.parametrize(("losses", "reached"), [(1, True), (2, False)])
async def test_repeats_once_where_a_kept_connection_was_closed(losses: int, reached: bool) -> None:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if len(requests) <= losses:
            raise httpx.RemoteProtocolError("x")
        return httpx.Response(200)

    if reached:
        assert (await post(handle)).status == 200
    else:
        with pytest.raises(ExchangeUnavailable):
            await post(handle)
    assert len(requests) == 2


async def test_does_not_repeat_other_failures() -> None:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise httpx.ConnectError("x")

    with pytest.raises(ExchangeUnavailable):
        await post(handle)
    assert len(requests) == 1


async def test_closes_its_client() -> None:
    client = client_to(lambda _: httpx.Response(200))
    await HttpTransport(client).aclose()
    assert client.is_closed


def test_always_verifies_and_knows_one_more_authority() -> None:
    authority = trustme.CA()
    before, after = tls_context(), tls_context(authority.cert_pem.bytes().decode())
    for context in (before, after):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    assert len(after.get_ca_certs()) == len(before.get_ca_certs()) + 1
    assert before.verify_flags & ssl.VERIFY_X509_STRICT
    assert not after.verify_flags & ssl.VERIFY_X509_STRICT
    assert tls_context("  ").verify_flags == before.verify_flags


EMPTY = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("pem", ["nonsense", EMPTY, "ü"])
def test_refuses_a_pem_without_a_certificate(pem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        tls_context(pem)
    assert caught.value.field == "exchange.certificate"
