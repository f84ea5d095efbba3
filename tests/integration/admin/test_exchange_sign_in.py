"""Authenticate: the delegated sign-in to Exchange, begun, completed, refused and revoked on the page."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from dev.entra.directory import Account, Application, Secret
from shared.auth.sign_in import SignIn
from shared.cipher import Cipher
from shared.state.storage import Storage
from shared.state.tokens import TokenStore
from tests.integration.admin.conftest import ADMINISTRATOR, API, ROLE, Running, empty_storage
from tests.storage import environment_of
from tests.unit.dev.entra.client import form_in

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ACCOUNT, OTHER = "calendar@example.com", "other@example.com"
HERE = "/configuration/exchange"


@pytest.fixture(autouse=True)
def directory(running: Running) -> None:
    """Entra ID knows the application that reads calendars, and two accounts that may sign in to it."""
    found = running.entra.directory
    running.entra.faults.clear()
    found.applications[1:] = [
        Application(
            running.tenant, secrets=[Secret("secret")], redirect_uris=[f"{running.url}/authenticated"]
        )
    ]
    found.accounts[:] = [
        Account(running.tenant, ADMINISTRATOR, app_roles={running.client_id: [ROLE]}),
        Account(running.tenant, ACCOUNT),
        Account(running.tenant, OTHER),
    ]


@pytest_asyncio.fixture(loop_scope="module")
async def browser(azurite: str, running: Running, directory: None) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's, with a configuration that needs the sign-in."""
    await empty_storage(azurite)
    async with running.browser() as browser:
        await running.sign_in(browser)
        browser.headers["X-CSRF-Token"] = (await browser.get(f"{API}/me")).json()["csrf_token"]
        await save(browser, running)
        yield browser


async def save(browser: httpx.AsyncClient, running: Running, **changes: Any) -> None:
    reader = running.entra.directory.applications[1]
    values = {"sync_type": "cloud-delegated", "user": ACCOUNT, "client_id": reader.client_id}
    values |= {"tenant_id": running.tenant, "client_secret": "secret", "certificate": running.entra.ca_pem}
    url = f"{API}/configuration/exchange"
    etag = (await browser.get(url)).headers["etag"]
    answer = await browser.put(url, json=values | changes, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text


async def begin(browser: httpx.AsyncClient) -> str:
    """Press the button; the address at Entra ID to which the page leads."""
    page = await browser.post(f"{HERE}/authenticate")
    assert page.status_code == 200, page.text
    target = page.headers["refresh"].removeprefix("0; url=")
    assert f'href="{target}"' in unescape(page.text)
    return target


async def choose(running: Running, target: str, account: str = ACCOUNT) -> dict[str, str]:
    """What Entra ID has the browser post to us when this account is chosen."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    trust = ssl.create_default_context(cadata=running.entra.ca_pem)
    async with httpx.AsyncClient(verify=trust) as entra:
        page = await entra.get(target.split("?")[0], params=query | {"login_hint": account})
    assert f'action="{running.url}/authenticated"' in page.text, page.text
    return form_in(page.text)


async def post(running: Running, fields: dict[str, str]) -> str:
    """Post that as browsers do from another site, without cookies; where the answer leads."""
    async with running.browser(headers={"Origin": running.entra.url, "Sec-Fetch-Site": "cross-site"}) as bare:
        posted = await bare.post("/authenticated", data=fields)
    assert posted.status_code == 303, posted.text
    location: str = posted.headers["location"]
    assert "code=" not in location
    return location


async def authenticate(
    browser: httpx.AsyncClient, running: Running, account: str = ACCOUNT
) -> httpx.Response:
    """The whole way."""
    target = await begin(browser)
    return await browser.get(await post(running, await choose(running, target, account)))


async def state(browser: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await browser.get(f"{API}/exchange-sign-in")).json())


async def done(browser: httpx.AsyncClient) -> list[tuple[str, str]]:
    items = (await browser.get(f"{API}/actions")).json()["items"]
    return [(each["what"], each["about"]) for each in items if "sign" in each["what"]]


async def test_an_account_signs_in_and_the_page_says_who(
    browser: httpx.AsyncClient, running: Running
) -> None:
    before = await state(browser)
    assert (before["state"], before["needed"], before["missing"]) == ("none", True, [])
    assert before["redirect_uri"] == f"{running.url}/authenticated"
    answer = await authenticate(browser, running)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}?sign_in=done#sign-in")
    after = await state(browser)
    assert (after["state"], after["account"], after["other_account"]) == ("signed in", ACCOUNT, False)
    assert after["signed_in_at"] == after["renewed_at"]
    page = (await browser.get(answer.headers["location"])).text
    assert ACCOUNT in page
    assert f"{running.url}/authenticated" in page
    assert "February 2025" in page
    assert (await done(browser))[:2] == [
        ("signed in to Exchange", ACCOUNT),
        ("began the sign-in to Exchange", ""),
    ]


async def test_no_answer_holds_a_token(browser: httpx.AsyncClient, running: Running) -> None:
    await authenticate(browser, running)
    async with Storage.open(environment_of(running.storage)) as storage:
        rows = [row async for row in storage.table("tokens").query("PartitionKey ne ''")]
    assert rows
    for text in (
        repr(rows),
        (await browser.get(HERE)).text,
        (await browser.get(f"{API}/exchange-sign-in")).text,
    ):
        assert not re.search(r"eyJ[\w-]{20,}|refresh_token|\bsecret\b.*value", text)


@pytest.mark.parametrize(
    ("breaking", "code", "remedy"),
    [
        ("consents", "AADSTS65004", "consent"),
        ("enabled", "AADSTS50057", "Repair the account"),
        ("scopes", "AADSTS65001", "grants consent under API permissions"),
    ],
)
async def test_a_refusal_is_explained(
    browser: httpx.AsyncClient, running: Running, breaking: str, code: str, remedy: str
) -> None:
    if breaking == "scopes":
        running.entra.directory.applications[1].scopes = []
    else:
        setattr(running.entra.directory.accounts[1], breaking, False)
    answer = await authenticate(browser, running)
    assert answer.status_code == 403
    assert code in answer.text
    assert remedy in answer.text
    assert (await state(browser))["state"] == "none"
    assert (await done(browser))[0] == ("failed to sign in to Exchange", code)


async def test_a_refused_sign_in_leaves_the_former_one(browser: httpx.AsyncClient, running: Running) -> None:
    await authenticate(browser, running)
    running.entra.directory.accounts[1].consents = False
    assert (await authenticate(browser, running)).status_code == 403
    assert (await state(browser))["state"] == "signed in"


async def test_another_account_than_the_configured_one_is_warned_of(
    browser: httpx.AsyncClient, running: Running
) -> None:
    assert (await authenticate(browser, running, OTHER)).status_code == 303
    after = await state(browser)
    assert (after["state"], after["account"], after["other_account"]) == ("signed in", OTHER, True)
    assert "is not the user above" in (await browser.get(HERE)).text


async def test_an_answer_is_taken_once(browser: httpx.AsyncClient, running: Running) -> None:
    fields = await choose(running, await begin(browser))
    location = await post(running, fields)
    cookies = dict(browser.cookies)
    assert (await browser.get(location)).status_code == 303
    signed_in_at = (await state(browser))["signed_in_at"]
    assert (await browser.get(location)).status_code == 400, "the cookie is gone"
    for again in (location, await post(running, fields)):
        # With the cookie of the sign-in put back, too.
        browser.cookies.update(cookies)
        refused = await browser.get(again)
        assert refused.status_code == 403
        assert "SignInUnknown" in refused.text
    assert (await state(browser))["signed_in_at"] == signed_in_at


async def test_an_answer_counts_in_the_browser_that_has_begun(
    browser: httpx.AsyncClient, running: Running
) -> None:
    location = await post(running, await choose(running, await begin(browser)))
    async with running.browser() as other:
        answer = await other.get(location)
        assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")
        await running.sign_in(other)
        assert (await other.get(location)).status_code == 400
    assert (await state(browser))["state"] == "none"
    assert (await browser.get(location)).status_code == 303


async def test_an_answer_to_another_beginning_counts_nothing(
    browser: httpx.AsyncClient, running: Running
) -> None:
    first = await begin(browser)
    await begin(browser)
    refused = await browser.get(await post(running, await choose(running, first)))
    assert refused.status_code == 400
    for nonsense in ("", "?answer=", "?answer=x"):
        assert (await browser.get(f"{HERE}/authenticated{nonsense}")).status_code == 400
    forged = await post(running, {"code": "x", "state": "y"})
    assert (await browser.get(forged)).status_code == 400
    assert (await state(browser))["state"] == "none"


async def test_it_is_revoked_and_that_is_on_record(browser: httpx.AsyncClient, running: Running) -> None:
    await authenticate(browser, running)
    assert (await browser.delete(f"{API}/exchange-sign-in")).status_code == 204
    assert (await state(browser))["state"] == "none"
    assert (await done(browser))[0] == ("revoked the sign-in to Exchange", ACCOUNT)
    assert (await browser.delete(f"{API}/exchange-sign-in")).status_code == 204
    await authenticate(browser, running)
    answer = await browser.post(f"{HERE}/revoke")
    assert answer.headers["location"] == f"{HERE}?sign_in=revoked#sign-in"
    assert (await state(browser))["state"] == "none"


async def test_nobody_begins_or_revokes_without_a_form_of_ours(
    browser: httpx.AsyncClient, running: Running
) -> None:
    await authenticate(browser, running)
    del browser.headers["X-CSRF-Token"]
    for path in (f"{HERE}/authenticate", f"{HERE}/revoke"):
        assert (await browser.post(path)).status_code == 403
    assert (await browser.delete(f"{API}/exchange-sign-in")).status_code == 403
    assert (await state(browser))["state"] == "signed in"


async def test_what_is_saved_has_to_ask_for_a_sign_in(browser: httpx.AsyncClient, running: Running) -> None:
    await save(browser, running, client_secret=None)
    assert (await state(browser))["missing"] == ["exchange.client_secret"]
    assert (await browser.post(f"{HERE}/authenticate")).status_code == 409
    assert "Not filled in yet: exchange.client_secret" in (await browser.get(HERE)).text
    await save(browser, running, sync_type="disabled")
    assert (await state(browser))["needed"] is False
    assert (await browser.post(f"{HERE}/authenticate")).status_code == 409


async def test_an_entra_id_that_does_not_answer_is_explained(
    browser: httpx.AsyncClient, running: Running
) -> None:
    await save(browser, running, tenant_id="nowhere.example.com")
    answer = await browser.post(f"{HERE}/authenticate")
    assert answer.status_code == 403
    assert "exchange.tenant_id" in answer.text


async def test_why_it_has_ended_is_shown(browser: httpx.AsyncClient, running: Running) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    ended = SignIn(ACCOUNT, at, at, refused="AADSTS50173")
    async with Storage.open(environment_of(running.storage)) as storage:
        await TokenStore(storage, Cipher([running.encryption_key])).put(ended)
    found = await state(browser)
    assert (found["state"], found["refused"]) == ("ended", "AADSTS50173")
    assert found["refusal"] == "the sign-in has expired or was revoked. Sign in again with Authenticate."
    page = (await browser.get(HERE)).text
    assert "AADSTS50173" in page
    assert "has expired or was revoked" in page


async def test_what_no_key_decrypts_is_said_and_can_be_revoked(
    browser: httpx.AsyncClient, running: Running
) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    environment = environment_of(running.storage)
    async with Storage.open(environment) as storage:
        await TokenStore(storage, Cipher(environment.encryption_keys)).put(SignIn(ACCOUNT, at, at))
    assert (await state(browser))["state"] == "unreadable"
    assert "cannot be read any more" in (await browser.get(HERE)).text
    assert (await browser.delete(f"{API}/exchange-sign-in")).status_code == 204
    assert (await state(browser))["state"] == "none"
