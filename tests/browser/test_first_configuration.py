"""From a fresh installation to users with presences, in the browser alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from dev.exchange import ExchangeSimulator
from dev.pbx import PbxSimulator
from tests.browser.conftest import WAIT, Open, reload_until
from tests.integration.admin.conftest import empty_storage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ACCOUNT = "calendar@example.com"
NAMES = ("anna", "bert", "carla")
SAVED = "Saved. It takes effect now"


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_configured(azurite: str) -> None:
    await empty_storage(azurite)


@pytest_asyncio.fixture(loop_scope="module")
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    seed = [{"address": ACCOUNT}, *({"address": f"{name}@example.com"} for name in NAMES)]
    async with ExchangeSimulator(user=ACCOUNT, seed=seed, minute=0.5) as exchange:
        now = datetime.now(UTC)
        begin, end = now - timedelta(minutes=5), now + timedelta(hours=1)
        exchange.add_appointment("anna@example.com", subject="Project meeting", start=begin, end=end)
        yield exchange


@pytest_asyncio.fixture(loop_scope="module")
async def pbx() -> AsyncIterator[PbxSimulator]:
    users = [
        {"h323": name, "cn": name.capitalize(), "emails": [{"email": f"{name}@example.com"}]}
        for name in NAMES
    ]
    async with PbxSimulator(users=users) as pbx:
        yield pbx


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(SAVED)).to_be_visible()


async def test_everything_is_configured_tested_and_synchronised(
    visit: Open, exchange: ExchangeSimulator, pbx: PbxSimulator
) -> None:
    page = await visit("/")
    await expect(page.get_by_text("Local mode")).to_be_visible()
    await page.locator("header").get_by_role("link", name="Configuration").click()

    await page.get_by_label("PBX address").fill(pbx.url)
    await page.get_by_label("PBX name").fill(pbx.switchboard.name)
    await page.locator("#password").fill(pbx.switchboard.password)
    await page.get_by_text("Advanced").click()
    await page.get_by_label("Certificate").fill(pbx.ca_pem)
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.get_by_text("The test is over: everything works.")).to_be_visible()
    await save(page)

    await page.get_by_role("link", name="Exchange", exact=True).click()
    await page.get_by_label("Sync type").select_option("on-premises")
    await page.get_by_label("User", exact=True).fill(ACCOUNT)
    await page.locator("#password").fill(exchange.password)
    await page.get_by_label("Exchange address").fill(exchange.ews_url)
    await page.get_by_text("Advanced").click()
    await page.get_by_label("Certificate authority").fill(exchange.ca_pem.decode())
    await page.get_by_label("Mailbox to try").fill("anna@example.com")
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.get_by_text("The test is over: everything works.")).to_be_visible()
    await expect(page.locator("[data-step='exchange.reading']")).to_contain_text("1 appointment")
    await save(page)

    await page.get_by_role("link", name="Presence and mapping").click()
    await expect(page.get_by_label("Subjects").locator("option:checked")).to_have_text("Please choose")
    await page.get_by_label("Subjects").select_option("true")
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await save(page)

    await page.get_by_role("link", name="Test connection", exact=True).click()
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.locator("#trial-state")).to_contain_text("everything works")

    anna = page.get_by_role("link", name="Anna")
    await page.goto("/users")

    async def is_listed() -> bool:
        return bool(await anna.count())

    await reload_until(page, is_listed)
    for name in NAMES:
        await expect(page.get_by_role("link", name=name.capitalize())).to_be_visible()
    await anna.click()
    await expect(page.locator("#now strong")).to_contain_text("Project meeting")
    user = next(row for row in pbx.users.rows() if row.sip == "anna")
    async with asyncio.timeout(WAIT):
        while "Project meeting" not in pbx.phone(user.guid).note:
            await page.wait_for_timeout(200)

    await page.locator("header").get_by_role("link", name="Actions").click()
    for done in ("exchange (unsaved settings); mailbox anna@example.com", "pbx: address, name, password"):
        await expect(page.get_by_text(done).first).to_be_visible()
