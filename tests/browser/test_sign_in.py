"""Signing in at a simulated Entra ID, being no administrator, staying too long and leaving, by clicks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, expect

from functions.admin.session import IDLE, Administrator, Sessions
from tests.browser.conftest import faults_of
from tests.integration.admin import conftest as office
from tests.integration.admin.conftest import ADMINISTRATOR, ROLE, VISITOR, Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

running = office.running

LeaveAlone = Callable[[], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="module")
async def page(running: Running, browser: Browser) -> AsyncIterator[Page]:
    """Of a browser that has never been here."""
    complaints: list[str] = []
    context = await browser.new_context(base_url=running.url, ignore_https_errors=True)
    page = await context.new_page()

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    assert complaints == []


@pytest.fixture
def leave_alone(running: Running, page: Page) -> LeaveAlone:
    """Lets an hour pass since the last sign of life of an open page."""

    async def pass_time() -> None:
        sessions = Sessions([running.session_key])
        session = sessions.begin(Administrator("id", ADMINISTRATOR), datetime.now(UTC) - IDLE)
        value = sessions.seal_session(session)
        await page.context.add_cookies([{"name": "calendar", "value": value, "url": running.url}])

    return pass_time


async def choose(page: Page, account: str = ADMINISTRATOR) -> None:
    """At Entra ID."""
    await expect(page.locator("h1")).to_have_text("Sign in as")
    await page.get_by_role("link", name=account).click()


async def enter(page: Page, path: str) -> None:
    """A page, signed in."""
    await page.goto(path)
    await choose(page)
    await expect(page.locator("header .who")).to_contain_text(ADMINISTRATOR)


async def test_an_administrator_signs_in_to_the_page_that_was_asked_for_and_out_again(page: Page) -> None:
    await enter(page, "/actions")
    await expect(page.locator("h1")).to_have_text("Actions")
    await expect(page.locator("tbody tr").first).to_contain_text("signed in")
    assert await faults_of(page) == []
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("You are signed out")
    assert await faults_of(page) == []
    await page.goto("/actions")
    await expect(page.locator("h1")).to_have_text("Sign in as")


async def test_who_lacks_the_role_reads_which_one_and_takes_another_account(page: Page) -> None:
    await page.goto("/")
    await choose(page, VISITOR)
    await expect(page.locator("h1")).to_have_text("You are no administrator of this service")
    await expect(page.locator("main")).to_contain_text(f"{VISITOR} lacks the app role {ROLE}.")
    await expect(page.locator("header nav")).to_have_count(0)
    assert await faults_of(page) == []
    await page.get_by_role("link", name="Sign in with another account").click()
    assert "prompt=select_account" in page.url
    await choose(page)
    await expect(page.locator("h1")).to_have_text("Status")


async def test_after_the_end_of_the_session_a_click_leads_by_the_sign_in_to_where_it_should(
    page: Page, leave_alone: LeaveAlone
) -> None:
    await enter(page, "/")
    await leave_alone()
    await page.locator("header").get_by_role("link", name="Debugging").click()
    await choose(page)
    await expect(page.locator("h1")).to_have_text("Debugging")


async def test_after_the_end_of_the_session_a_page_that_refreshes_itself_leads_to_the_sign_in_and_back(
    page: Page, leave_alone: LeaveAlone
) -> None:
    await enter(page, "/")
    await leave_alone()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await choose(page)
    await expect(page.locator("h1")).to_have_text("Status")


async def test_after_the_end_of_the_session_a_form_is_refused_in_words_that_lead_back_to_it(
    page: Page, leave_alone: LeaveAlone
) -> None:
    await enter(page, "/configuration/pbx")
    await page.get_by_label("PBX address").fill("pbx.example.com")
    await leave_alone()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("h1")).to_have_text("Your session is over")
    await expect(page.locator("main")).to_contain_text("nothing was saved")
    assert await faults_of(page) == []
    await page.get_by_role("link", name="Sign in again").click()
    await choose(page)
    await expect(page.get_by_label("PBX address")).to_have_value("")
    assert page.url.endswith("/configuration/pbx")


async def test_after_the_end_of_the_session_what_was_entered_stays_for_who_wants_it(
    page: Page, leave_alone: LeaveAlone
) -> None:
    await enter(page, "/configuration/pbx")
    await page.get_by_label("PBX address").fill("pbx.example.com")
    await leave_alone()
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.once("dialog", stay)
    async with page.expect_event("dialog"):
        await page.get_by_role("button", name="Test connection").click()
    await expect(page.get_by_label("PBX address")).to_have_value("pbx.example.com")
    assert asked == ["beforeunload"]


async def test_after_the_end_of_the_session_one_can_still_sign_out(
    page: Page, leave_alone: LeaveAlone
) -> None:
    await enter(page, "/")
    await leave_alone()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("You are signed out")
