"""The lanes against an NTLM server of pyspnego's, connection by connection."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import spnego
import trustme
from spnego.channel_bindings import GssChannelBindings

from shared.auth.channel_binding import ChannelBinding, end_point_binding
from shared.auth.ntlm import NtlmLanes
from shared.errors import ExchangeError, ExchangeUnavailable, SettingsError, SignInRefused
from shared.ews.transport import Answer, tls_context
from tests.unit.auth.test_channel_binding import connect

URL = "https://mail.example.com/EWS/Exchange.asmx"
TLS = tls_context()


class Connection:
    """One connection as httpx shows it to the lanes, and the server's side of the sign-in on it."""

    def __init__(self, tls: ssl.SSLObject | None = None) -> None:
        self.tls = tls
        self.context: spnego.ContextProxy | None = None
        self.signed_in = False

    def get_extra_info(self, name: str) -> object:
        return self.tls if name == "ssl_object" else None


@dataclass
class Server:
    """Exchange behind NTLM. What goes wrong is switched by its attributes."""

    binding: bytes | None = None
    tls: ssl.SSLObject | None = None
    scheme: str = "NTLM"
    challenge: bytes | None = None
    lose: int = 0
    replace_before_type_3: int = 0
    close_after: bool = False
    unavailable: bool = False
    pause: float = 0.0
    log: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refused: int = 0
    busy: int = 0
    most_busy: int = 0
    current: dict[int, Connection] = field(default_factory=dict)

    def connect(self) -> httpx.MockTransport:
        lane = len(self.current)
        self.current[lane] = Connection(self.tls)

        async def handle(request: httpx.Request) -> httpx.Response:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            try:
                if self.pause:
                    await asyncio.sleep(self.pause)
                return self.answer(lane, request)
            finally:
                self.busy -= 1

        return httpx.MockTransport(handle)

    def drop_connections(self) -> None:
        for lane in self.current:
            self.current[lane] = Connection(self.tls)

    def answer(self, lane: int, request: httpx.Request) -> httpx.Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        data = base64.b64decode(token)
        kind = f"type {data[8]}" if data else "plain"
        self.log.append(kind)
        if self.lose:
            self.lose -= 1
            raise httpx.RemoteProtocolError("closed")
        if kind == "type 3" and self.replace_before_type_3:
            self.replace_before_type_3 -= 1
            self.current[lane] = Connection(self.tls)
        connection = self.current[lane]
        if self.unavailable:
            return self.respond(connection, 503)
        if not scheme:
            return self.serve(lane, connection, request) if connection.signed_in else self.refuse(connection)
        if kind == "type 1":
            assert request.content == b""
            bindings = None if self.binding is None else GssChannelBindings(application_data=self.binding)
            connection.context = spnego.server(
                protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm, channel_bindings=bindings
            )
            challenge = connection.context.step(data)
            return self.refuse(connection, self.challenge if self.challenge is not None else challenge)
        if connection.context is None:
            return self.refuse(connection)
        try:
            connection.context.step(data)
        except spnego.exceptions.SpnegoError:
            self.refused += 1
            return self.refuse(connection)
        connection.signed_in = True
        return self.serve(lane, connection, request)

    def serve(self, lane: int, connection: Connection, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.content)
        if self.close_after:
            self.current[lane] = Connection(self.tls)
            return self.respond(connection, 200, {"connection": "Close"})
        return self.respond(connection, 200)

    def refuse(self, connection: Connection, challenge: bytes | None = None) -> httpx.Response:
        offer = self.scheme if challenge is None else f"{self.scheme} {base64.b64encode(challenge).decode()}"
        return self.respond(connection, 401, {"www-authenticate": offer})

    def respond(
        self, connection: Connection, status: int, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        extensions = {"network_stream": connection}
        return httpx.Response(status, headers=headers or {}, content=b"answer", extensions=extensions)

    def lanes(
        self,
        password: str = "secret",
        *,
        lanes: int = 1,
        channel_binding: ChannelBinding = "auto",
        user: str = "EXAMPLE\\calendar",
    ) -> NtlmLanes:
        return NtlmLanes(
            user, password, TLS, lanes=lanes, channel_binding=channel_binding, connect=self.connect
        )


@pytest.fixture(autouse=True)
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "accounts"
    file.write_text("EXAMPLE:calendar:secret\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))
    return iter([file])


async def ask(lanes: NtlmLanes, body: bytes = b"question") -> Answer:
    return await lanes.post(URL, {"soapaction": "x"}, body)


async def refused(lanes: NtlmLanes) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        await ask(lanes)
    return caught.value


async def test_a_cold_lane_takes_two_round_trips_and_a_warm_one_one() -> None:
    server = Server()
    lanes = server.lanes()
    assert (await ask(lanes, b"first")).body == b"answer"
    assert server.log == ["type 1", "type 3"]
    assert (await ask(lanes, b"second")).status == 200
    assert server.log[2:] == ["plain"]
    assert server.bodies == [b"first", b"second"]
    await lanes.aclose()


async def test_signs_in_again_where_the_connection_was_replaced() -> None:
    server = Server()
    lanes = server.lanes()
    await ask(lanes)
    server.drop_connections()
    assert (await ask(lanes)).status == 200
    assert server.log == ["type 1", "type 3", "plain", "type 1", "type 3"]


async def test_signs_in_again_where_exchange_closes_after_each_answer() -> None:
    server = Server(close_after=True)
    lanes = server.lanes()
    for _ in range(2):
        assert (await ask(lanes)).status == 200
    assert server.log == ["type 1", "type 3"] * 2
    server.close_after = False
    await ask(lanes)
    server.close_after = True
    await ask(lanes)
    await ask(lanes)
    assert server.log[4:] == ["type 1", "type 3", "plain", "type 1", "type 3"]


async def test_repeats_once_where_the_connection_broke() -> None:
    server = Server()
    lanes = server.lanes()
    await ask(lanes)
    server.lose = 1
    server.drop_connections()
    assert (await ask(lanes)).status == 200
    assert server.log == ["type 1", "type 3", "plain", "type 1", "type 3"]
    server.lose = 2
    assert (await refused(lanes)).code == "ConnectionLost"
    assert server.lose == 0


async def test_a_wrong_password_is_tried_once() -> None:
    server = Server()
    lanes = server.lanes("wrong")
    error = await refused(lanes)
    assert (type(error), error.code) == (SignInRefused, "HTTP 401")
    assert server.refused == 1
    again = await refused(lanes)
    assert type(again) is SignInRefused
    assert again.retry_after is not None
    assert error.retry_after is not None
    assert again.retry_after < error.retry_after
    assert server.refused == 1
    assert server.bodies == []


async def test_several_lanes_try_a_wrong_password_once_together() -> None:
    server = Server(pause=0.005)
    lanes = server.lanes("wrong", lanes=8)
    errors = await asyncio.gather(*(refused(lanes) for _ in range(20)))
    assert {type(error) for error in errors} == {SignInRefused}
    assert server.refused == 1


async def test_a_changed_password_is_tried_once_a_lane_and_then_no_more(tmp_path: Path) -> None:
    server = Server()
    lanes = server.lanes()
    await ask(lanes)
    (tmp_path / "accounts").write_text("EXAMPLE:calendar:changed\n")
    server.drop_connections()
    for _ in range(3):
        assert type(await refused(lanes)) is SignInRefused
    assert server.refused == 1


async def test_a_refused_account_is_tried_again_after_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    lanes = server.lanes("wrong")
    error = await refused(lanes)
    loop = asyncio.get_running_loop()
    assert error.retry_after is not None
    later = loop.time() + error.retry_after.total_seconds()
    monkeypatch.setattr(loop, "time", lambda: later)
    await refused(lanes)
    assert server.refused == 2


async def test_lanes_carry_one_request_each() -> None:
    server = Server(pause=0.005)
    lanes = server.lanes(lanes=3)
    answers = await asyncio.gather(*(ask(lanes, str(number).encode()) for number in range(12)))
    assert [answer.status for answer in answers] == [200] * 12
    assert sorted(server.bodies, key=int) == [str(number).encode() for number in range(12)]
    assert server.most_busy == 3
    assert server.log.count("type 3") == 3


async def test_quiet_times_use_the_warm_lane() -> None:
    server = Server()
    lanes = server.lanes(lanes=5)
    for _ in range(4):
        await ask(lanes)
    assert server.log == ["type 1", "type 3", "plain", "plain", "plain"]


async def test_a_cancelled_request_gives_its_lane_back() -> None:
    server = Server(pause=10)
    lanes = server.lanes()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask(lanes)
    server.pause = 0
    assert (await ask(lanes)).status == 200


@pytest.fixture(scope="module")
def live() -> ssl.SSLObject:
    return connect(trustme.CA(), finish=True)


def bound_server(live: ssl.SSLObject, *, right: bool = True) -> Server:
    certificate = live.getpeercert(binary_form=True)
    assert certificate is not None
    return Server(
        binding=end_point_binding(certificate) if right else b"tls-server-end-point:other", tls=live
    )


@pytest.mark.parametrize("setting", ["auto", "on"])
async def test_binds_to_the_connection(live: ssl.SSLObject, setting: ChannelBinding) -> None:
    server = bound_server(live)
    assert (await ask(server.lanes(channel_binding=setting))).status == 200
    assert server.refused == 0


@pytest.mark.parametrize(("setting", "attempts"), [("off", 1), ("on", 1), ("auto", 2)])
async def test_a_refused_binding_is_left_out_by_auto_only(
    live: ssl.SSLObject, setting: ChannelBinding, attempts: int
) -> None:
    server = bound_server(live, right=False)
    assert type(await refused(server.lanes(channel_binding=setting))) is SignInRefused
    assert server.refused == attempts


async def test_auto_remembers_what_exchange_took(live: ssl.SSLObject, tmp_path: Path) -> None:
    server = Server(tls=live)
    lanes = server.lanes(lanes=2)
    original = server.answer
    sent: list[bytes] = []

    def refuse_bindings(lane: int, request: httpx.Request) -> httpx.Response:
        data = base64.b64decode(request.headers.get("authorization", "").partition(" ")[2])
        if data[8:9] == b"\x03":
            sent.append(data)
            if len(sent) == 1:
                server.log.append("type 3")
                server.refused += 1
                return server.refuse(server.current[lane])
        return original(lane, request)

    server.answer = refuse_bindings  # type: ignore[method-assign]
    assert (await ask(lanes)).status == 200
    assert (server.refused, len(sent)) == (1, 2)
    server.drop_connections()
    assert (await ask(lanes)).status == 200
    assert len(sent) == 3
    (tmp_path / "accounts").write_text("EXAMPLE:calendar:changed\n")
    server.drop_connections()
    await refused(lanes)
    assert len(sent) == 4


async def test_after_a_refusal_auto_is_open_to_both_again(
    live: ssl.SSLObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tls=live)
    lanes = server.lanes()
    await ask(lanes)
    (tmp_path / "accounts").write_text("EXAMPLE:calendar:changed\n")
    server.drop_connections()
    await refused(lanes)
    assert server.refused == 1
    loop = asyncio.get_running_loop()
    later = loop.time() + 3600
    monkeypatch.setattr(loop, "time", lambda: later)
    await refused(lanes)
    assert server.refused == 3


async def test_auto_tries_once_where_there_is_nothing_to_bind_to() -> None:
    server = Server(tls=None)
    assert type(await refused(server.lanes("wrong"))) is SignInRefused
    assert server.refused == 1


async def test_a_connection_replaced_between_the_tokens_is_no_refusal() -> None:
    server = Server(replace_before_type_3=1)
    assert (await ask(server.lanes())).status == 200
    assert server.log == ["type 1", "type 3", "type 1", "type 3"]
    server = Server(replace_before_type_3=2)
    error = await refused(server.lanes())
    assert (type(error), error.code) == (ExchangeUnavailable, "NtlmConnection")


@pytest.mark.parametrize("challenge", [b"", b"x", b"NTLMSSP\0\x02\0\0\0" + bytes(20), b"NTLMSSP\0\x03\0\0\0"])
async def test_a_damaged_challenge_is_an_error_of_ours(challenge: bytes) -> None:
    error = await refused(Server(challenge=challenge).lanes())
    assert type(error) in (ExchangeUnavailable, SignInRefused)
    assert error.code in ("NtlmChallenge", "NtlmNotOffered")


async def test_a_challenge_that_is_no_base64_is_an_error_of_ours() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, headers={"www-authenticate": "NTLM abc"})

    lanes = NtlmLanes("u", "p", TLS, lanes=1, connect=lambda: httpx.MockTransport(handle))
    assert (await refused(lanes)).code == "NtlmChallenge"


async def test_says_where_ntlm_is_not_offered() -> None:
    server = Server(scheme="Bearer")
    error = await refused(server.lanes())
    assert (type(error), error.code) == (SignInRefused, "NtlmNotOffered")
    assert server.log == ["type 1"]


async def test_finds_the_challenge_among_other_offers() -> None:
    server = Server(scheme="Negotiate, Basic realm=mail, NTLM")
    assert (await ask(server.lanes())).status == 200


async def test_an_unavailable_exchange_is_no_refusal() -> None:
    server = Server(unavailable=True)
    lanes = server.lanes()
    assert (await ask(lanes)).status == 503
    server.unavailable = False
    assert (await ask(lanes)).status == 200
    server.unavailable = True
    assert (await ask(lanes)).status == 503
    assert server.log == ["type 1", "type 1", "type 3", "plain"]


async def test_credentials_do_not_travel_over_http() -> None:
    server = Server()
    plain = URL.replace("https", "http")
    with pytest.raises(SettingsError):
        await server.lanes().post(plain, {}, b"")
    assert server.log == []
    allowed = NtlmLanes(
        "EXAMPLE\\calendar", "secret", TLS, lanes=1, allow_plain_http=True, connect=Server().connect
    )
    assert (await allowed.post(plain, {}, b"")).status == 200


async def test_no_token_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await ask(Server().lanes())
    assert "TlRMTVNTUA" not in caplog.text
