"""Test connection in a browser: the steps come by themselves, and without script by a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from dev.exchange import ExchangeSimulator
from dev.pbx import PbxSimulator
from functions.admin.app import create_app
from functions.services import Services
from shared.sync import checking_exchange
from tests.browser.conftest import LOOKS, Open, Scheme, is_too_wide, violations
from tests.integration.admin.conftest import empty_storage
from tests.storage import environment_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HOME = "http://localhost:7071"
ACCOUNT = "calendar@example.com"


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_configured(azurite: str) -> None:
    await empty_storage(azurite)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pbx() -> AsyncIterator[PbxSimulator]:
    async with PbxSimulator(users=[{"h323": "anna", "cn": "Anna"}]) as pbx:
        yield pbx


async def fill_in(page: Page, pbx: PbxSimulator, password: str) -> None:
    await page.get_by_label("PBX address").fill(pbx.url)
    await page.get_by_label("PBX name").fill(pbx.switchboard.name)
    await page.locator("#password").fill(password)
    await page.get_by_text("Advanced").click()
    await page.get_by_label("Certificate").fill(pbx.ca_pem)


async def test_a_wrong_password_of_the_pbx_shows_in_the_form_and_keeps_what_was_entered(
    visit: Open, pbx: PbxSimulator
) -> None:
    page = await visit("/configuration/pbx")
    await fill_in(page, pbx, "wrong")
    await page.get_by_role("button", name="Test connection").click()
    login = page.locator("[data-step='pbx.login']")
    await expect(login.get_by_text("Failed", exact=True)).to_be_visible(timeout=15_000)
    await expect(login).to_contain_text("What to do:")
    await expect(page.locator("[data-step='pbx.user'] .badge")).to_have_text("Not tried")
    await expect(page.locator("#trial-state")).to_have_text("The test is over: 1 step failed.")
    assert await page.get_by_label("PBX address").input_value() == pbx.url
    assert await page.locator("#password").input_value() == "wrong"
    assert await violations(page) == []
    await page.locator("#password").fill(pbx.switchboard.password)
    await page.get_by_role("button", name="Test connection").click()
    everything = page.get_by_text("The test is over: everything works.")
    await expect(everything).to_be_visible(timeout=15_000)
    await expect(page.locator("[data-outcome=passed]")).to_have_count(4)
    await page.reload()
    assert await page.get_by_label("PBX address").input_value() == "", "nothing was saved"


async def test_a_wrong_field_is_named_and_nothing_is_tested(visit: Open) -> None:
    page = await visit("/configuration/pbx")
    await page.get_by_label("App object").fill("9")
    # The browser says of itself that it was answered 422.
    await page.route("**/configuration/pbx/test", _soften)
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.get_by_text("Nothing was tested.")).to_be_visible()
    await page.get_by_role("link", name="App object").click()
    assert await page.evaluate("document.activeElement.id") == "app"


async def _soften(route: Route) -> None:
    answer = await route.fetch()
    assert answer.status == 422
    await route.fulfill(response=answer, status=200)


async def test_without_script_a_link_leads_on(visit: Open) -> None:
    page = await visit("/configuration/test", java_script_enabled=False)
    await page.get_by_label("What to test").select_option("pbx")
    await page.get_by_role("button", name="Test connection").click()
    for _ in range(50):
        if await page.get_by_text("The test is over").count():
            break
        if await (refresh := page.get_by_role("link", name="Refresh")).count():
            await refresh.click()
    await expect(page.locator("[data-step='pbx.login']")).to_contain_text("Not filled in: pbx.address")


async def test_without_script_the_form_is_tried_in_a_tab_of_its_own(visit: Open) -> None:
    page = await visit("/configuration/pbx", java_script_enabled=False)
    await page.get_by_label("PBX address").fill("127.0.0.1:9")
    async with page.context.expect_page() as opened:
        await page.get_by_role("button", name="Test connection").click()
    tab = await opened.value
    await expect(tab.locator("[data-step='pbx.login']")).to_be_visible()
    assert await page.get_by_label("PBX address").input_value() == "127.0.0.1:9"


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_everybody_can_use_the_pages(visit: Open, scheme: Scheme, width: int) -> None:
    page = await visit("/configuration/test", scheme, width)
    assert await violations(page) == []
    assert not await is_too_wide(page)
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.locator("#trial-state")).to_contain_text("failed", timeout=15_000)
    assert await violations(page) == []
    assert not await is_too_wide(page)
    await page.get_by_role("link", name="Another test").click()
    await expect(page.get_by_label("What to test")).to_be_visible()


@asynccontextmanager
async def serve_here(azurite: str) -> AsyncIterator[httpx.AsyncClient]:
    """The pages in this process, which carries tests out itself; at their callback nobody listens."""
    administration = replace(environment_of(azurite).administration, local=True)
    environment = replace(environment_of(azurite), callback_url=HOME, administration=administration)
    calendar = Services(environment)
    await calendar.storage.create()
    running: list[asyncio.Task[None]] = []

    async def carry_out(identity: str) -> None:
        running.append(asyncio.create_task(calendar.checker().run(identity)))

    calendar.queues.check = carry_out  # type: ignore[method-assign]
    transport = httpx.ASGITransport(create_app(calendar))
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield client
    await asyncio.gather(*running)
    await calendar.close()


async def test_a_callback_that_never_comes_shows_while_the_test_goes_on(
    browser: Browser, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_exchange, "PATIENCE", 4.0)
    async with (
        serve_here(azurite) as application,
        ExchangeSimulator(user=ACCOUNT, seed=[{"address": ACCOUNT}], minute=0.5) as exchange,
    ):

        async def forward(route: Route) -> None:
            asked = route.request
            answer = await application.request(
                asked.method, asked.url, headers=await asked.all_headers(), content=asked.post_data_buffer
            )
            await route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

        context = await browser.new_context()
        page = await context.new_page()
        await page.route("**/*", forward)
        await page.goto(f"{HOME}/configuration/exchange")
        await page.get_by_label("Sync type").select_option("on-premises")
        await page.get_by_label("User", exact=True).fill(ACCOUNT)
        await page.locator("#password").fill(exchange.password)
        await page.get_by_label("Exchange address").fill(exchange.ews_url)
        await page.get_by_text("Advanced").click()
        await page.get_by_label("Certificate authority").fill(exchange.ca_pem.decode())
        await page.get_by_label("Mailbox to try").press("Enter")
        callback = page.locator("[data-step='exchange.callback']")
        await expect(callback.locator(".badge")).to_have_text("Running", timeout=15_000)
        await expect(page.locator("#trial-state")).to_have_text("6 of 7 steps are done.")
        await expect(page.locator("[data-outcome=passed]")).to_have_count(6)
        await expect(callback.locator(".badge")).to_have_text("Failed", timeout=15_000)
        await expect(callback).to_contain_text("No notification of Exchange arrived")
        await expect(callback).to_contain_text("set the detection to poll")
        await context.close()
