"""What the simulated PBX never does: garbage, stray messages, strange certificates, a peer that stalls."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.errors import PbxLoginRefused, PbxUnavailable, PresenceRefused
from shared.pbx.protocol import Identity
from shared.pbx.session import WINDOW, Assignment, PbxLink, PbxSession, open_session
from tests.integration.scripted_pbx import HOST, Line, Script, scripted_pbx

GUID = "a" * 32
MANY = [Assignment(f"{n:032x}", f"user{n}", "busy", "Meeting") for n in range(2 * WINDOW)]
NOT_JSON = "The PBX sent something that is not JSON."


async def refusal(script: Script, patience: float = 30.0) -> PbxUnavailable:
    async with scripted_pbx(script) as link:
        with pytest.raises(PbxUnavailable) as caught:
            async with open_session(link, patience=patience):
                pass
    return caught.value


async def guids(session: PbxSession) -> list[str]:
    return [row.guid async for row in session.users()]


# ---- certificates


def self_signed(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A certificate as an appliance makes it for itself: nothing but a name and a key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pbx")])
    address = x509.IPAddress(ip_address(HOST))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "pbx.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pbx.pem")
    return pem.decode(), context


async def test_a_certificate_for_another_host_is_refused() -> None:
    async with scripted_pbx(Line.log_in, host="pbx.example.com") as link:
        with pytest.raises(PbxUnavailable, match=r"^pbx\.certificate: .*IP address mismatch"):
            async with open_session(link):
                pass


async def test_a_certificate_the_pbx_made_for_itself_is_trusted_where_it_is_configured(
    tmp_path: Path,
) -> None:
    async with scripted_pbx(Line.log_in, certificate=self_signed(tmp_path)) as link:
        async with open_session(link) as session:
            assert session.identity == Identity("master", "example.com")
        with pytest.raises(PbxUnavailable, match=r"^pbx\.certificate: .*self-signed"):
            async with open_session(PbxLink(link.url, link.name, link.app, link.password)):
                pass


# ---- connecting and signing in


async def test_a_pbx_that_accepts_and_then_says_nothing_is_given_up() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        began = monotonic()
        with pytest.raises(PbxUnavailable, match=r"^pbx\.address: no connection"):
            async with open_session(PbxLink(f"wss://{HOST}:{port}/x", "m", "a", "p"), patience=0.3):
                pass
        assert monotonic() - began < 8


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"mt":"AppLoginResult"}', "no reason given"),
        ('{"mt":"AppLoginResult","ok":false}', "no reason given"),
        ('{"mt":"AppLoginResult","ok":"true"}', "no reason given"),
        ('{"mt":"AppLoginResult","errorText":"away"}', "error: away"),
        (None, "the PBX closed the connection"),
    ],
)
async def test_only_an_explicit_ok_is_a_login(answer: str | None, reason: str) -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.send("AppChallengeResult", challenge="1")
        await line.receive()
        if answer is not None:
            await line.socket.send(answer)
        await line.socket.close()

    error = await refusal(script)
    assert isinstance(error, PbxLoginRefused)
    assert f"refused the app 'calendarsync' ({reason})" in str(error)


async def test_a_login_without_an_answer_is_not_a_wrong_password() -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.send("AppChallengeResult", challenge="1")

    error = await refusal(script, patience=0.2)
    assert (type(error), str(error)) == (PbxUnavailable, "The PBX did not answer within 0.2 s.")


@pytest.mark.parametrize("messages", [0, 1, 2])
async def test_garbage_in_place_of_an_answer_is_named(messages: int) -> None:
    async def script(line: Line) -> None:
        await line.receive()
        if messages > 0:
            await line.send("AppChallengeResult", challenge="1")
            await line.receive()
        if messages > 1:
            await line.send("AppLoginResult", ok=True)
            await line.receive()
        await line.socket.send("<html>")

    error = await refusal(script)
    assert (type(error), str(error)) == (PbxUnavailable, NOT_JSON)


async def test_a_message_that_is_nested_too_deep_ends_the_session_and_nothing_else() -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.socket.send("[" * 100_000)

    assert str(await refusal(script)) == NOT_JSON


async def test_a_message_without_end_is_not_taken_into_memory() -> None:
    def answering(size: int) -> Script:
        async def script(line: Line) -> None:
            await line.receive()
            await line.socket.send("x" * size)

        return script

    assert str(await refusal(answering(1 << 20))) == NOT_JSON
    assert str(await refusal(answering((1 << 20) + 1))) == "The PBX closed the connection."


async def test_a_pbx_that_does_not_say_its_name_is_another_one() -> None:
    async def script(line: Line) -> None:
        await line.receive()
        await line.send("AppChallengeResult", challenge="1")
        await line.receive()
        await line.send("AppLoginResult", ok=True)
        await line.receive()
        await line.send("MonitorConfigInfo")

    assert str(await refusal(script)).startswith("pbx.name: the PBX that answered is '', configured")


# ---- replication


async def test_stray_messages_are_not_taken_for_rows_or_the_end() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        src = (await line.receive())["src"]
        await line.send("PbxInfo", domain="example.com")
        await line.send("SetPresenceResult", src="r999")
        await line.send("ReplicateStartResult", src=src, columns={})
        await line.receive()
        await line.send("ReplicateProgress", src=src)
        await line.send("MonitorConfigInfo", pbx="master", domain="elsewhere.example")
        await line.send("ReplicateAdd", src=src)
        await line.send("ReplicateNextResult", src=src, columns={"guid": GUID, "h323": "anna"})
        await line.send("ReplicateNextResult", src=src, columns={"guid": "b" * 32, "h323": "twice"})
        await line.receive()
        await line.send("ReplicateNextResult", src=src)

    async with scripted_pbx(script) as link, open_session(link) as session:
        assert await guids(session) == [GUID]
        assert session.identity == Identity("master", "example.com")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"columns": {"guid": "x"}}, "The PBX sent a user whose guid is not 32 hex digits."),
        ({"columns": [GUID]}, "The PBX sent a user without columns."),
        (
            {"error": 4, "errorText": "no more"},
            "The PBX broke off the replication of its users: error 4: no more.",
        ),
    ],
)
async def test_a_damaged_row_is_not_the_end(answer: dict[str, object], sentence: str) -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        src = (await line.receive())["src"]
        await line.send("ReplicateStartResult", src=src)
        await line.receive()
        await line.send("ReplicateNextResult", src=src, **answer)

    async with scripted_pbx(script) as link, open_session(link) as session:
        with pytest.raises(PbxUnavailable) as caught:
            await guids(session)
        assert str(caught.value) == sentence


async def test_a_damaged_push_breaks_the_replication_off() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        src = (await line.receive())["src"]
        await line.send("ReplicateStartResult", src=src)
        await line.receive()
        await line.send("ReplicateDel", src=src, columns={"guid": "x"})
        await line.send("ReplicateNextResult", src=src)

    async with scripted_pbx(script) as link, open_session(link) as session:
        with pytest.raises(PbxUnavailable, match="guid is not 32 hex digits"):
            await guids(session)


async def test_silence_in_the_middle_of_a_replication_is_not_the_end() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        src = (await line.receive())["src"]
        await line.send("ReplicateStartResult", src=src)

    async with scripted_pbx(script) as link, open_session(link, patience=0.3) as session:
        with pytest.raises(PbxUnavailable, match=r"^The PBX did not answer within 0\.3 s\.$"):
            await guids(session)


# ---- presences


async def test_no_more_than_a_window_of_requests_is_under_way() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        waiting = [(await line.receive())["src"] for _ in range(WINDOW)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await line.receive()
        for _ in range(WINDOW):
            await line.send("SetPresenceResult", src=waiting.pop())
            waiting.append((await line.receive())["src"])
        assert len(set(waiting)) == WINDOW
        for src in waiting:
            await line.send("SetPresenceResult", src=src)

    async with scripted_pbx(script) as link, open_session(link) as session:
        assert {outcome.error for outcome in await session.set_presences(MANY)} == {None}


async def test_garbage_in_the_middle_of_a_window_loses_only_what_had_no_answer() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        for _ in range(3):
            await line.send("SetPresenceResult", src=(await line.receive())["src"])
        await line.socket.send(b"\xff\x00")

    async with scripted_pbx(script) as link, open_session(link) as session:
        outcomes = await session.set_presences(MANY)
        assert [outcome.error for outcome in outcomes[:3]] == [None] * 3
        assert {(type(outcome.error), str(outcome.error)) for outcome in outcomes[3:]} == {
            (PbxUnavailable, NOT_JSON)
        }


async def test_an_answer_that_comes_too_late_is_not_another_users() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        first, second = [(await line.receive())["src"] for _ in range(2)]
        await line.send("SetPresenceResult", src=second)
        third = (await line.receive())["src"]
        await line.send("SetPresenceResult", src=first)
        await line.send("SetPresenceResult", src=third, error=9)

    async with scripted_pbx(script) as link, open_session(link, patience=0.3) as session:
        late, answered = await session.set_presences(MANY[:2])
        assert isinstance(late.error, PresenceRefused)
        assert answered.error is None
        [refused] = await session.set_presences(MANY[2:3])
        assert isinstance(refused.error, PresenceRefused)
        assert refused.error.code == 9


async def test_an_error_code_that_is_no_number_is_kept_as_text() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        await line.send("SetPresenceResult", src=(await line.receive())["src"], error="E9")

    async with scripted_pbx(script) as link, open_session(link) as session:
        [outcome] = await session.set_presences(MANY[:1])
        assert isinstance(outcome.error, PresenceRefused)
        assert (outcome.error.code, str(outcome.error)) == (None, "The PBX answered error E9: no text.")


async def test_a_pbx_that_stops_reading_does_not_hold_the_sender() -> None:
    async def script(line: Line) -> None:
        await line.log_in()
        # Of the socket itself: the TLS layer above it would go on filling its own buffer.
        line.socket.transport._ssl_protocol._transport.pause_reading()  # type: ignore[attr-defined]

    notes = [Assignment(f"{n:032x}", "anna", "busy", "x" * 400_000) for n in range(WINDOW)]
    async with scripted_pbx(script) as link:
        began = monotonic()
        async with open_session(link, patience=0.5) as session:
            outcomes = await session.set_presences(notes)
            assert all(isinstance(outcome.error, PresenceRefused | PbxUnavailable) for outcome in outcomes)
        assert monotonic() - began < 15
