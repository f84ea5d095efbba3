"""What a logged-in app may ask, and how strictly it is judged."""

from typing import Any, Literal

import pytest

from dev.pbx import PbxSimulator
from tests.unit.dev.pbx.app import connect_app


async def test_the_pbx_tells_its_name_and_domain_after_the_result() -> None:
    async with PbxSimulator(name="pbx1", domain="example.org") as pbx, connect_app(pbx) as app:
        answer = await app.ask(api="PbxAdminApi", mt="MonitorConfig", src="m")
        assert answer == {"mt": "MonitorConfigResult", "api": "PbxAdminApi", "src": "m"}
        info = await app.receive()
        assert {"mt": "MonitorConfigInfo", "api": "PbxAdminApi", "src": "m"}.items() <= info.items()
        assert (info["pbx"], info["domain"]) == ("pbx1", "example.org")
        assert info["dns"]
        assert info["ip4"]


async def test_another_name_is_told_when_it_was_changed() -> None:
    async with PbxSimulator(name="pbx1") as pbx, connect_app(pbx) as app:
        pbx.switchboard.name = "pbx2"
        await app.ask(api="PbxAdminApi", mt="MonitorConfig", src="m")
        assert (await app.receive())["pbx"] == "pbx2"


async def test_a_keep_alive_is_accepted_in_silence() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as app:
        await app.send(mt="KeepAlive")
        assert await app.silence()
        assert pbx.statistics.keep_alives == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"api": "PbxApi", "mt": "Reboot", "src": "x"},
        {"api": "PbxTableUsers", "mt": "SetPresence", "src": "x"},
        {"api": "PbxTableUsers", "mt": "ReplicateAdd", "src": "x", "columns": {}},
        {"api": "RCC", "mt": "Initialize", "src": "x"},
        {"api": ["PbxApi"], "mt": "SetPresence", "src": "x"},
        {"mt": "SetPresence", "src": "x"},
        {"api": "PbxAdminApi", "mt": "MonitorConfig"},
        {"api": "PbxAdminApi", "mt": "MonitorConfig", "src": 7},
        {"api": "PbxTableUsers", "mt": "ReplicateNext", "src": "never-started"},
    ],
)
async def test_what_is_unknown_or_lacks_src_gets_an_error_and_the_session_goes_on(
    request_: dict[str, Any],
) -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as app:
        answer = await app.ask(**request_)
        assert answer["mt"] == f"{request_['mt']}Result"
        assert answer.get("src") == request_.get("src")
        assert isinstance(answer["error"], int)
        assert answer["errorText"]
        assert (await app.ask(api="PbxAdminApi", mt="MonitorConfig", src="m"))["src"] == "m"


@pytest.mark.parametrize("frame", ["{", "[]", "7", '"x"', "{}", '{"mt": 7}', "\u00fc"])
async def test_a_malformed_frame_closes_the_connection(frame: str) -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as app:
        await app.socket.send(frame)
        assert await app.close_code() == 1007


async def test_a_binary_frame_closes_the_connection() -> None:
    async with PbxSimulator() as pbx, connect_app(pbx) as app:
        await app.socket.send(b'{"mt":"AppChallenge"}')
        assert await app.close_code() == 1003


REQUESTS: dict[str, dict[str, Any]] = {
    "PbxAdminApi": {"mt": "MonitorConfig"},
    "PbxApi": {"mt": "SetPresence", "sip": "anna", "contact": "calendar:", "activity": "", "note": ""},
    "PbxTableUsers": {"mt": "ReplicateStart", "columns": {"guid": {}}},
}


@pytest.mark.parametrize("missing", REQUESTS)
@pytest.mark.parametrize("ungranted", ["error", "silence"])
async def test_only_granted_apis_answer(missing: str, ungranted: Literal["error", "silence"]) -> None:
    apis = set(REQUESTS) - {missing}
    users = [{"h323": "anna"}]
    async with PbxSimulator(users=users, apis=apis, ungranted=ungranted) as pbx, connect_app(pbx) as app:
        await app.send(api=missing, src="x", **REQUESTS[missing])
        if ungranted == "error":
            answer = await app.receive()
            assert (answer["src"], answer["api"]) == ("x", missing)
            assert answer["error"]
        else:
            assert await app.silence()
        for api in apis:
            assert "error" not in await app.ask(api=api, src="y", **REQUESTS[api])
            if api == "PbxAdminApi":
                await app.receive()
