"""Authenticate in a browser, with a simulated Entra ID on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from dev.entra import EntraSimulator
from dev.host import FunctionsHost
from tests.browser.conftest import faults_of
from tests.integration.admin.conftest import API, empty_storage, serve
from tests.ports import find_ports

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HERE = "/configuration/exchange"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def entra() -> AsyncIterator[EntraSimulator]:
    async with EntraSimulator() as entra:
        yield entra


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def host(azurite: str, entra: EntraSimulator) -> AsyncIterator[FunctionsHost]:
    """In local mode; the sign-in to Exchange goes to this Entra ID."""
    port = find_ports()
    entra.application.redirect_uris = [f"http://127.0.0.1:{port}/authenticated"]
    async with serve(azurite, port, CALENDAR_ADMIN_SIGN_IN="local", CALENDAR_AUTHORITY=entra.url) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def page(
    host: FunctionsHost, entra: EntraSimulator, browser: Browser, azurite: str
) -> AsyncIterator[Page]:
    """The configuration of Exchange, saved with what the sign-in needs; nothing complains but Entra ID."""
    await empty_storage(azurite)
    entra.account.consents = True
    values: dict[str, Any] = {
        "sync_type": "cloud-delegated",
        "user": entra.account.user_name,
        "client_id": entra.application.client_id,
        "tenant_id": entra.directory.tenants[0].id,
        "client_secret": "secret",
        "certificate": entra.ca_pem,
    }
    async with httpx.AsyncClient(base_url=host.url) as client:
        token = (await client.get(f"{API}/me")).json()["csrf_token"]
        etag = (await client.get(f"{API}/configuration/exchange")).headers["etag"]
        headers = {"X-CSRF-Token": token, "If-Match": etag}
        saved = await client.put(f"{API}/configuration/exchange", json=values, headers=headers)
        assert saved.status_code == 200, saved.text
    context = await browser.new_context(base_url=host.url, ignore_https_errors=True)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(HERE)
    yield page
    await context.close()
    assert complaints == []


async def test_somebody_signs_in_and_revokes_it(
    page: Page, host: FunctionsHost, entra: EntraSimulator
) -> None:
    card = page.locator("#sign-in")
    await expect(card).to_contain_text("Nobody has signed in")
    await expect(card).to_contain_text("withdrew the role ApplicationImpersonation in February 2025")
    await card.get_by_role("button", name="Copy").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{host.url}/authenticated"
    await card.get_by_role("button", name="Authenticate").click()
    await expect(card.get_by_text("Signed in. Exchange is asked with it at once.")).to_be_visible()
    await expect(card).to_contain_text(entra.account.user_name)
    assert entra.statistics.tokens["authorization_code"] == 1
    assert "code=" not in page.url
    assert await faults_of(page) == []
    await expect(card).to_contain_text("Calendars are no longer read")
    await card.locator("form").get_by_role("button", name="Revoke").click()
    await expect(card).to_contain_text("The sign-in is forgotten")
    await expect(card).to_contain_text("Nobody has signed in")


async def test_who_cancels_is_told_what_is_missing_and_gets_back(page: Page, entra: EntraSimulator) -> None:
    entra.account.consents = False
    await page.get_by_role("button", name="Authenticate").click()
    await expect(page.locator("h1")).to_have_text("Nobody has signed in")
    await expect(page.locator("main")).to_contain_text("AADSTS65004")
    assert await faults_of(page) == []
    await page.get_by_role("link", name="Back to the configuration").click()
    await expect(page.locator("#sign-in")).to_contain_text("Nobody has signed in")


async def test_everybody_can_use_the_page_on_the_way_to_entra_id(page: Page, entra: EntraSimulator) -> None:
    # A navigation that is given up leaves the page before it.
    await page.route(f"{entra.url}/**", lambda route: route.abort("aborted"))
    await page.get_by_role("button", name="Authenticate").click()
    await expect(page.locator("h1")).to_have_text("On to Entra ID")
    assert await faults_of(page) == []


async def test_everybody_can_use_it(page: Page) -> None:
    assert await faults_of(page) == []


async def test_the_redirect_uri_is_read_without_script_and_before_anything_is_saved(
    browser: Browser, host: FunctionsHost, azurite: str
) -> None:
    await empty_storage(azurite)
    context = await browser.new_context(base_url=host.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(HERE)
    await expect(page.locator("#sign-in")).to_be_hidden()
    await page.get_by_label("Sync type").select_option("cloud-delegated")
    await expect(page.locator("#redirect-uri")).to_have_text(f"{host.url}/authenticated")
    await expect(page.locator("#sign-in")).to_contain_text("Save this sync type first")
    await expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    await context.close()
