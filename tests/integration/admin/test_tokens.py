"""Scripts come with an access token of the page's application."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import jwt
import pytest

from dev.entra import SigningKey
from tests.integration.admin.conftest import API, ROLE, Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def me(running: Running, token: str, path: str = f"{API}/me") -> httpx.Response:
    async with running.browser() as browser:
        return await browser.get(path, headers={"Authorization": f"Bearer {token}"})


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    return dict(answer.json())


async def test_a_token_with_the_role_lets_a_script_in(running: Running) -> None:
    answer = await me(running, running.token())
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "00000000-0000-0000-0000-00000000000a",
        "name": "script@example.com",
        "csrf_token": None,
    }


async def from_entra(running: Running, number: int) -> str:
    application = running.entra.directory.applications[number]
    form = {
        "client_id": application.client_id,
        "client_secret": "secret",
        "grant_type": "client_credentials",
        "scope": f"api://{running.client_id}/.default",
    }
    async with running.browser() as browser:
        answer = await browser.post(f"{running.entra.authority}/oauth2/v2.0/token", data=form)
    return str(answer.json()["access_token"])


async def test_an_application_with_the_role_signs_in_by_itself(running: Running) -> None:
    answer = await me(running, await from_entra(running, 1))
    assert answer.status_code == 200
    assert answer.json()["name"] == f"application {running.entra.directory.applications[1].client_id}"


async def test_an_application_without_the_role_may_do_nothing(running: Running) -> None:
    answer = await me(running, await from_entra(running, 2))
    assert answer.status_code == 403
    assert ROLE in problem(answer)["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://login.microsoftonline.com/x/v2.0"},
        {"iss": None},
        {"aud": "https://outlook.office365.com"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 4102444800},
        {"azp": None},
    ],
    ids=str,
)
async def test_a_token_for_somebody_else_or_another_time_is_refused(
    running: Running, changes: dict[str, Any]
) -> None:
    answer = await me(running, running.token(**changes))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert problem(answer)["status"] == 401


@pytest.mark.parametrize("roles", [None, [], ["Calendar.Reader"], ROLE, {ROLE: True}], ids=str)
async def test_a_token_without_the_role_is_refused(running: Running, roles: Any) -> None:
    assert (await me(running, running.token(roles=roles))).status_code == 403


async def test_a_token_of_another_issuer_with_the_same_name_is_refused(running: Running) -> None:
    forged = SigningKey()
    forged._id = running.entra.key._id
    assert (await me(running, forged.sign(running.claims()))).status_code == 401
    assert (await me(running, SigningKey().sign(running.claims()))).status_code == 401


async def test_a_token_that_signs_itself_is_refused(running: Running) -> None:
    """No algorithm at all, or the public key taken for a shared secret."""
    unsigned = jwt.encode(running.claims(), "", "none", {"kid": running.entra.key._id})
    assert (await me(running, unsigned)).status_code == 401
    kid = running.entra.key._id
    shared = jwt.encode(running.claims(), "k" * 64, "HS256", {"kid": kid})
    assert (await me(running, shared)).status_code == 401


@pytest.mark.parametrize("token", ["-", "x", "a.b.c", "ä", "." * 2000])
async def test_what_is_no_token_is_refused(running: Running, token: str) -> None:
    async with running.browser() as browser:
        answer = await browser.get(f"{API}/me", headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert answer.status_code == 401


async def test_a_changed_token_is_refused(running: Running) -> None:
    head, claims, signature = running.token(roles=["x"]).split(".")
    raised = json.dumps(running.claims()).encode()
    changed = base64.urlsafe_b64encode(raised).rstrip(b"=").decode()
    assert (await me(running, f"{head}.{changed}.{signature}")).status_code == 401
    assert (await me(running, f"{head}.{claims}.{signature}")).status_code == 403


async def test_tokens_open_the_api_and_no_page(running: Running) -> None:
    assert (await me(running, running.token(), "/")).status_code == 303
    assert (await me(running, running.token(), "/actions")).status_code == 303


async def test_an_identity_token_of_the_sign_in_is_no_access_token(running: Running) -> None:
    entra = running.entra
    identity = entra.grants._id_token(entra.application, entra.account, "nonce")
    assert (await me(running, identity)).status_code == 401
