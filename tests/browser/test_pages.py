"""Every page, in every look."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import pytest
from playwright.async_api import expect

from functions.admin.rendering import FOLDER
from tests.browser import test_authentication, test_connection, test_sign_in, test_status, test_user
from tests.browser.conftest import Open, faults_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PAGES = (
    "/",
    "/users",
    "/configuration/pbx",
    "/configuration/exchange",
    "/configuration/presence",
    "/debugging",
    "/actions",
)


FLAWS = """
@media (prefers-color-scheme: dark) { h1 { color: #333; } }
@media (max-width: 400px) { main { min-width: 500px; } }
"""


@pytest.mark.parametrize("path", PAGES)
async def test_everybody_can_use_the_page(visit: Open, path: str) -> None:
    assert await faults_of(await visit(path)) == []


async def test_everybody_can_use_the_page_of_what_went_wrong(visit: Open, complaints: list[str]) -> None:
    page = await visit("/")
    await page.goto("/nothing")
    await expect(page.locator("h1")).to_have_text("Not Found")
    assert "404" in complaints.pop()
    assert await faults_of(page) == []


JUDGED: Mapping[str, Callable[..., object]] = {
    **dict.fromkeys(
        ("actions", "configuration", "debugging", "status", "users"), test_everybody_can_use_the_page
    ),
    "problem": test_everybody_can_use_the_page_of_what_went_wrong,
    "record": test_status.test_everybody_can_use_the_page_of_a_record,
    "user": test_user.test_everybody_can_use_a_users_page,
    "test": test_connection.test_everybody_can_use_the_pages,
    "trial": test_connection.test_everybody_can_use_the_pages,
    "authenticating": test_authentication.test_everybody_can_use_the_page_on_the_way_to_entra_id,
    "not_authenticated": test_authentication.test_who_cancels_is_told_what_is_missing_and_gets_back,
    "session_over": (
        test_sign_in.test_after_the_end_of_the_session_a_form_is_refused_in_words_that_lead_back_to_it
    ),
    "sign_in_failed": test_sign_in.test_who_lacks_the_role_reads_which_one_and_takes_another_account,
    "signed_out": test_sign_in.test_an_administrator_signs_in_to_the_page_that_was_asked_for_and_out_again,
}
"""The test that judges it, for each template that is a page."""


async def test_every_page_is_judged_by_a_test() -> None:
    pages = {each.stem for each in FOLDER.glob("*.html") if "extends" in each.read_text("utf-8")}
    assert pages == JUDGED.keys()
    assert [name for name, test in JUDGED.items() if "faults_of(" not in inspect.getsource(test)] == []


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_is_read_without_script(visit: Open, path: str) -> None:
    page = await visit(path, java_script_enabled=False)
    assert await page.locator("h1").inner_text()
    assert await page.locator("header nav a[aria-current=page]").count() == 1


async def test_the_keyboard_leads_to_the_content_first(visit: Open) -> None:
    page = await visit("/")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "To the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"


async def test_the_judge_finds_what_is_wrong_in_every_look_and_in_one_only(visit: Open) -> None:
    page = await visit("/")
    await page.evaluate("document.querySelector('main').innerHTML += '<img>'")
    # Unlike an element of their own, the page's policy lets these styles in.
    await page.evaluate(
        """rules => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(rules);
            document.adoptedStyleSheets = [sheet];
        }""",
        FLAWS,
    )
    found = {": ".join(fault.split(": ")[:2]) for fault in await faults_of(page)}
    assert found == {
        *("light 1280: image-alt", "light 360: image-alt", "light 360: it has to be scrolled sideways"),
        *("dark 1280: image-alt", "dark 1280: color-contrast"),
        *("dark 360: image-alt", "dark 360: color-contrast", "dark 360: it has to be scrolled sideways"),
    }
