"""The controls over HTTP, and the PBX as a process."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from dev.pbx import PbxSimulator, Viewer
from tests.unit.dev.pbx.app import App, connect_app

ANNA: dict[str, Any] = {"guid": "a" * 32, "h323": "anna", "cn": "Anna Bauer"}


@pytest.fixture
async def pbx() -> AsyncIterator[PbxSimulator]:
    async with PbxSimulator(users=[ANNA], viewer=Viewer("de", "Europe/Berlin")) as pbx:
        yield pbx


@pytest.fixture
async def control(pbx: PbxSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=pbx.control_url, trust_env=False) as client:
        yield client


async def test_users_are_listed_added_changed_removed_and_replaced(
    pbx: PbxSimulator, control: httpx.AsyncClient
) -> None:
    assert (await control.get("/users")).json() == [ANNA]
    added = await control.post("/users", json={"h323": "jörg", "cn": "Jörg"})
    assert added.status_code == 201
    guid = added.json()["guid"]
    assert (await control.patch(f"/users/{guid}", json={"cn": "Jürgen"})).json()["cn"] == "Jürgen"
    assert (await control.delete(f"/users/{guid}")).status_code == 204
    assert (await control.put("/users", json=[{"h323": "x"}, {"h323": "y"}])).json() == {"users": 2}
    assert [row.sip for row in pbx.users.rows()] == ["x", "y"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/users", "{", 400),
        ("POST", "/users", "[]", 400),
        ("POST", "/users", '{"cn": "x"}', 400),
        ("PUT", "/users", '{"h323": "x"}', 400),
        ("PUT", "/users", '["x"]', 400),
        ("PATCH", "/users/" + "0" * 32, "{}", 404),
        ("DELETE", "/users/" + "0" * 32, "", 404),
        ("POST", "/presences/" + "0" * 32, "{}", 404),
        ("POST", "/presences/" + "a" * 32, '{"activity": "asleep"}', 400),
        ("PATCH", "/faults", '{"explode": true}', 400),
        ("PATCH", "/faults", '{"shuffle": 0}', 400),
        ("PATCH", "/faults", '{"delay": "long"}', 400),
        ("PATCH", "/faults", '{"refuse": "anna"}', 400),
        ("PATCH", "/faults", '{"password": 7}', 400),
    ],
)
async def test_bad_input_is_refused_with_a_reason(
    control: httpx.AsyncClient, method: str, path: str, body: str, status: int
) -> None:
    answer = await control.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_presences_show_display_contacts_and_count(
    pbx: PbxSimulator, control: httpx.AsyncClient
) -> None:
    assert (await control.get("/presences")).json()[0] == {
        "guid": ANNA["guid"],
        "sip": "anna",
        "name": "Anna Bauer",
        "contact": "",
        "activity": "",
        "note": "",
        "display": "",
        "set_at": None,
        "count": 0,
        "contacts": [],
    }
    async with connect_app(pbx) as app:
        await app.set_presence("1", sip="anna", note="Busy #busy")
        await app.receive()
    await control.post(f"/presences/{ANNA['guid']}", json={"activity": "dnd", "note": "Ruhe"})
    [anna] = (await control.get("/presences")).json()
    assert (anna["activity"], anna["note"], anna["count"]) == ("dnd", "Ruhe", 1)
    assert [entry["contact"] for entry in anna["contacts"]] == ["tel:", "calendar:"]
    assert anna["set_at"] == anna["contacts"][0]["set_at"]


async def test_changes_are_streamed_a_line_each(pbx: PbxSimulator, control: httpx.AsyncClient) -> None:
    async with control.stream("GET", "/changes") as stream, asyncio.timeout(60):
        lines = stream.aiter_lines()
        pbx.set_by_hand(ANNA["guid"], "busy", "Busy #busy")
        change = json.loads(await anext(lines))
        assert (change["guid"], change["sip"], change["name"]) == (ANNA["guid"], "anna", "Anna Bauer")
        assert (change["contact"], change["activity"], change["note"]) == ("tel:", "busy", "Busy #busy")
        assert change["display"] == "Beschäftigt"
        assert change["set_at"]
        pbx.set_by_hand(ANNA["guid"], "", "")
        assert json.loads(await anext(lines))["note"] == ""


async def test_faults_are_shown_and_set(pbx: PbxSimulator, control: httpx.AsyncClient) -> None:
    wish = {"refuse": [ANNA["guid"]], "ignore": [], "delay": 0.5, "shuffle": 8, "drop_after": 3}
    answer = await control.patch("/faults", json={**wish, "name": "other", "password": "new"})
    assert answer.json() == (await control.get("/faults")).json() == wish
    assert pbx.faults.refuse == {ANNA["guid"]}
    assert (pbx.switchboard.name, pbx.switchboard.password) == ("other", "new")


async def test_connections_are_cut_and_the_pbx_goes_away_and_comes_back(
    pbx: PbxSimulator, control: httpx.AsyncClient
) -> None:
    async with connect_app(pbx) as app:
        assert (await control.post("/drop")).status_code == 204
        assert await app.close_code() is None
    assert (await control.post("/away")).status_code == 204
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", pbx.port)
    assert (await control.post("/back")).status_code == 204
    async with connect_app(pbx):
        statistics = (await control.get("/statistics")).json()
    assert (statistics["logins"], statistics["most_sessions"]) == (2, 1)
    pbx.statistics.presences_set["x"] += 2
    assert (await control.get("/statistics")).json()["presences_set"] == {"x": 2}
    assert (await control.delete("/statistics")).status_code == 204
    assert (await control.get("/statistics")).json()["logins"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_process_it_says_when_it_is_ready_and_ends_cleanly(tmp_path: Path, number: int) -> None:
    authority, seed = tmp_path / "ca.pem", tmp_path / "seed.json"
    seed.write_text(json.dumps({"users": [ANNA]}))
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-W",
            "error",
            "-m",
            "dev.pbx",
            "--pbx-name",
            "pbx1",
            "--app",
            "cal",
            "--password",
            "pw",
        ),
        *("--ca-file", str(authority), "--seed", str(seed), "--display", "sentence"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(60):
        ready = (await process.stdout.readline()).decode()
        assert ready.startswith("PBX pbx1: 1 users, wss://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(authority))
        async with connect(ready.split(", ")[1], ssl=trust, proxy=None) as socket:
            assert (await App(socket).log_in("pw", app="cal"))["ok"] is True
            process.send_signal(number)
            assert await process.wait() == 0
    assert await process.stdout.read() == await process.stderr.read() == b""
