"""What somebody changes in a calendar shows, to administrators and on the phones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet
from playwright.async_api import Browser, Page, expect

from dev.exchange import ExchangeSimulator
from dev.host import FunctionsHost
from dev.pbx import PbxSimulator, Viewer
from functions.services import Services
from shared.environment import Environment
from tests.integration.admin.conftest import serve
from tests.ports import find_ports

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ACCOUNT, MAILBOX = "calendar@example.com", "anna@example.com"


@dataclass(frozen=True)
class Office:
    """Anna's calendar, her phone, and her page at ``path``."""

    host: FunctionsHost
    exchange: ExchangeSimulator
    pbx: PbxSimulator
    path: str

    def meet(self, subject: str, **others: Any) -> None:
        """She is in a meeting from now on."""
        begin = datetime.now(UTC).replace(second=0, microsecond=0)
        end = begin + timedelta(hours=1)
        self.exchange.add_appointment(MAILBOX, subject=subject, start=begin, end=end, **others)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def office(azurite: str) -> AsyncIterator[Office]:
    """As soon as her calendar is subscribed to."""
    port = find_ports()
    key = Fernet.generate_key().decode()
    users = [{"h323": "anna", "cn": "Anna", "emails": [{"email": MAILBOX}]}]
    async with (
        ExchangeSimulator(user=ACCOUNT, seed=[{"address": ACCOUNT}, {"address": MAILBOX}]) as exchange,
        PbxSimulator(users=users, viewer=Viewer("en", "UTC")) as pbx,
        serve(azurite, port, CALENDAR_ADMIN_SIGN_IN="local", CALENDAR_ENCRYPTION_KEYS=key) as host,
    ):
        sections: dict[str, dict[str, Any]] = {
            "presence": {"show_subject": True},
            "exchange": {
                "sync_type": "on-premises",
                "user": ACCOUNT,
                "password": exchange.password,
                "url": exchange.ews_url,
                "certificate": exchange.ca_pem.decode(),
            },
            "pbx": {
                "address": pbx.url,
                "name": pbx.switchboard.name,
                "password": pbx.switchboard.password,
                "certificate": pbx.ca_pem,
            },
        }
        environment = Environment.read(
            {
                "AzureWebJobsStorage": azurite,
                "CALENDAR_ENCRYPTION_KEYS": key,
                "CALENDAR_CALLBACK_URL": f"http://127.0.0.1:{port}",
            }
        )
        calendar = Services(environment)
        for name, values in sections.items():
            await calendar.configurator().save(name, values, "", "test")
        guid = pbx.users.rows()[0].guid
        for _ in range(600):
            anna = await calendar.users.get(guid)
            if anna and anna.subscription:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("Her calendar was not subscribed to.")
        await calendar.close()
        yield Office(host, exchange, pbx, f"{host.url}/users/{guid}")


@pytest_asyncio.fixture(loop_scope="module")
async def phone(office: Office, browser: Browser) -> AsyncIterator[Page]:
    """The page of the phones, opened before anything changes."""
    async with await browser.new_page() as page:
        await page.goto(f"{office.pbx.control_url}/phones")
        await expect(page.locator("#connection")).to_have_text("Live")
        await expect(page.locator(".phone")).to_have_count(1)
        yield page


async def expect_on_her_page(office: Office, browser: Browser, text: str) -> str:
    """It shows by itself after a while; all that the page says then."""
    async with await browser.new_page() as page:
        await page.goto(office.path)
        await expect(page.locator("#now")).to_contain_text(text)
        return await page.content()


async def test_a_new_appointment_shows_on_the_phone_by_itself_and_on_the_users_page(
    office: Office, phone: Page, browser: Browser
) -> None:
    office.meet("Review")
    await expect(phone.locator(".note")).to_contain_text("Review")
    await expect(phone.locator(".word")).to_have_text("Busy")
    await expect_on_her_page(office, browser, "Review")


async def test_a_private_appointment_shows_as_private_and_its_subject_nowhere(
    office: Office, phone: Page, browser: Browser
) -> None:
    office.meet("Dentist", sensitivity="private", show_as="out_of_office")
    await expect(phone.locator(".note")).to_contain_text("Private")
    await expect(phone.locator(".word")).to_have_text("Away")
    assert "Dentist" not in await phone.content()
    assert "Dentist" not in await expect_on_her_page(office, browser, "Private")
