"""The simulator's controls, its faults, and the simulator as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dev.entra import EntraSimulator
from tests.unit.dev.entra.client import OauthClient, codes

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
async def control(entra: EntraSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=entra.control_url, verify=False) as control:
        yield control


async def test_the_directory_can_be_read_and_put_back(
    control: httpx.AsyncClient, client: OauthClient, entra: EntraSimulator
) -> None:
    directory = (await control.get("/directory")).json()
    assert directory["applications"][0]["secrets"] == [{"value": "secret", "expires": None}]
    directory["applications"][0]["secrets"] = [{"value": "another"}]
    assert (await control.put("/directory", json=directory)).status_code == 200
    assert codes(await client.ask()) == [7000215]
    assert (await client.ask(client_secret="another")).status_code == 200


async def test_applications_and_accounts_can_be_changed(
    control: httpx.AsyncClient, client: OauthClient, entra: EntraSimulator
) -> None:
    url = f"/applications/{entra.application.client_id}"
    wish = {"secrets": [{"value": "old", "expires": "2026-01-01T00:00:00+00:00"}], "roles": []}
    assert (await control.patch(url, json=wish)).json()["roles"] == []
    assert codes(await client.ask(client_secret="old")) == [7000222]
    await control.patch("/accounts/calendar@example.com", json={"enabled": False})
    assert not entra.account.enabled


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/applications/unknown", {}, 404),
        ("PATCH", "/accounts/unknown", {}, 404),
        ("PATCH", "/accounts/calendar@example.com", {"colour": "red"}, 400),
        ("PATCH", "/accounts/calendar@example.com", {"enabled": "no"}, 400),
        ("PUT", "/directory", {"accounts": [{"colour": "red"}]}, 400),
        ("PUT", "/directory", {"accounts": 5}, 400),
        ("PUT", "/directory", [], 400),
        ("PATCH", "/lives", {"token": "long"}, 400),
        ("POST", "/faults", {"endpoint": "elsewhere"}, 400),
        ("POST", "/faults", {"colour": "red"}, 400),
        ("POST", "/verify", {"token": "x"}, 403),
    ],
)
async def test_bad_wishes_are_refused(
    control: httpx.AsyncClient, method: str, path: str, body: object, status: int
) -> None:
    answer = await control.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_a_token_can_be_verified_by_others(control: httpx.AsyncClient, client: OauthClient) -> None:
    token = (await client.ask()).json()["access_token"]
    claims = (await control.post("/verify", json={"token": token})).json()
    assert claims["roles"] == ["full_access_as_app"]
    answer = await control.post("/verify", json={"token": token, "audience": "https://outlook.office365.us"})
    assert answer.status_code == 403


async def test_lives_can_be_changed_and_tokens_revoked(
    control: httpx.AsyncClient, client: OauthClient, entra: EntraSimulator
) -> None:
    assert (await control.patch("/lives", json={"token": 7})).json()["token"] == 7
    assert (await client.redeem(await client.code())).json()["expires_in"] == 7
    assert (await control.post("/revoke", json={"account": entra.account.user_name})).json() == {"revoked": 1}


async def test_faults_take_the_place_of_answers(control: httpx.AsyncClient, client: OauthClient) -> None:
    fault = {"endpoint": "token", "status": 503, "retry_after": 7, "times": 1}
    assert (await control.post("/faults", json=fault)).json()[0]["times"] == 1
    answer = await client.ask()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert (await client.ask()).status_code == 200
    await control.post("/faults", json={"endpoint": "token", "error": "invalid_grant", "code": 53003})
    assert (codes(await client.ask()), codes(await client.ask())) == ([53003], [53003])
    assert (await control.delete("/faults")).status_code == 204
    await control.post("/faults", json={"endpoint": "token", "delay": 0.2, "times": 1})
    began = time.monotonic()
    assert (await client.ask()).status_code == 200
    assert time.monotonic() - began >= 0.2


async def test_it_can_go_away_and_come_back_at_the_same_port(
    control: httpx.AsyncClient, client: OauthClient, entra: EntraSimulator
) -> None:
    await control.post("/away")
    async with httpx.AsyncClient(verify=False) as stranger:
        with pytest.raises(httpx.ConnectError):
            await stranger.get(entra.url)
    await control.post("/back")
    assert (await client.ask()).status_code == 200


async def test_what_happened_is_counted(control: httpx.AsyncClient, client: OauthClient) -> None:
    await client.ask()
    await client.ask(client_secret="wrong")
    await client.redeem(await client.code())
    statistics = (await control.get("/statistics")).json()
    assert statistics["tokens"] == {"client_credentials": 1, "authorization_code": 1}
    assert (statistics["refusals"], statistics["sign_ins"]) == ({"7000215": 1}, 1)
    assert (await control.delete("/statistics")).status_code == 204
    assert (await control.get("/statistics")).json()["tokens"] == {}


def test_it_shares_no_code_with_what_it_checks() -> None:
    sources = list((ROOT / "dev" / "entra").rglob("*.py"))
    assert len(sources) > 5
    for path in sources:
        assert not re.search(r"^\s*(from|import) shared\b", path.read_text(), re.MULTILINE), path


async def test_as_a_process_it_says_when_it_is_ready_and_ends_cleanly(tmp_path: Path) -> None:
    seed, ca = tmp_path / "seed.json", tmp_path / "ca.pem"
    rows = {"tenants": [{"id": "t"}], "applications": [{"tenant": "t", "secrets": [{"value": "s"}]}]}
    seed.write_text(json.dumps(rows))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.entra", "--seed", str(seed), "--ca-file", str(ca)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    line = (await process.stdout.readline()).decode()
    found = re.fullmatch(
        r"Entra ID: 1 applications, 0 accounts, (https://\S+), controls (http://\S+)\n", line
    )
    assert found
    async with httpx.AsyncClient(verify=False) as control:
        directory = (await control.get(f"{found[2]}/directory")).json()
    assert directory["tenants"][0]["id"] == "t"
    assert "BEGIN CERTIFICATE" in ca.read_text()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
