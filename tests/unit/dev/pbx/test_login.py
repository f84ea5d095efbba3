"""Logging in: the digest, and what is refused."""

import ssl

import pytest
from websockets.asyncio.client import connect

from dev.pbx import PbxSimulator
from tests.unit.dev.pbx.app import connect_app

ANNA = {"guid": "a" * 32, "h323": "anna", "cn": "Anna"}
BERT = {"guid": "b" * 32, "h323": "bert", "cn": "Bert"}


async def test_the_right_digest_logs_in() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx, log_in=False) as app:
        assert await app.log_in() == {"mt": "AppLoginResult", "ok": True}
        assert (pbx.statistics.logins, pbx.statistics.sessions) == (1, 1)


async def test_challenges_differ_and_have_at_most_16_characters() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx, log_in=False) as app:
        challenges = [(await app.ask(mt="AppChallenge", src="c"))["challenge"] for _ in range(3)]
        assert len(set(challenges)) == 3
        assert all(0 < len(challenge) <= 16 for challenge in challenges)


@pytest.mark.parametrize(
    "login",
    [{"password": "wrong"}, {"app": "other"}, {"domain": "example.org"}, {"sip": 5}, {"app": "\ud800"}],
)
async def test_a_wrong_login_is_answered_without_ok_and_closed(login: dict[str, str]) -> None:
    async with PbxSimulator() as pbx, connect_app(pbx, log_in=False) as app:
        answer = await app.log_in(**login)
        assert answer["mt"] == "AppLoginResult"
        assert "ok" not in answer
        assert answer["error"]
        assert answer["errorText"]
        assert await app.close_code() == 1008
        assert (pbx.statistics.logins, pbx.statistics.logins_refused) == (0, 1)


async def test_a_login_without_a_challenge_is_refused() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx, log_in=False) as app:
        assert "ok" not in await app.ask(mt="AppLogin", app="calendarsync", digest="0" * 64)
        assert await app.close_code() == 1008


async def test_a_session_logs_in_once() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as app:
        assert "ok" not in await app.log_in()
        assert await app.close_code() == 1008


async def test_a_password_changed_meanwhile_counts_from_the_next_login_on() -> None:
    async with PbxSimulator() as pbx:
        pbx.switchboard.password = "new"
        async with connect_app(pbx, log_in=False) as app:
            assert (await app.log_in("new"))["ok"] is True


async def test_requests_before_the_login_are_refused_and_closed() -> None:
    async with PbxSimulator(users=[ANNA]) as pbx, connect_app(pbx, log_in=False) as app:
        await app.set_presence("p", sip="anna")
        answer = await app.receive()
        assert answer["mt"] == "SetPresenceResult"
        assert answer["error"]
        assert await app.close_code() == 1008
        assert pbx.phone(ANNA["guid"]).note == ""


async def test_a_session_with_a_sip_sees_and_sets_that_user_only() -> None:
    async with PbxSimulator(users=[ANNA, BERT]) as pbx, connect_app(pbx, log_in=False) as app:
        assert (await app.log_in(sip="anna"))["ok"] is True
        assert [row["h323"] for row in await app.replicate()] == ["anna"]
        await app.set_presence("1", sip="bert")
        assert (await app.receive())["error"]
        await app.set_presence("2", sip="anna")
        assert "error" not in await app.receive()
        assert [pbx.phone(user["guid"]).activity for user in (ANNA, BERT)] == ["busy", ""]


async def test_sessions_at_once_are_counted() -> None:
    async with PbxSimulator() as pbx:
        async with connect_app(pbx), connect_app(pbx):
            assert pbx.statistics.sessions == 2
        await pbx.drop()
        async with connect_app(pbx):
            assert (pbx.statistics.sessions, pbx.statistics.most_sessions) == (1, 2)


async def test_only_who_trusts_the_offered_authority_connects() -> None:
    async with PbxSimulator() as pbx:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(pbx.url, ssl=ssl.create_default_context(), proxy=None):
                pass
