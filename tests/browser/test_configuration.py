"""The configuration's forms in the hands of an administrator."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import Dialog, Page, expect

from tests.browser.conftest import Open, faults_of
from tests.integration.admin.conftest import empty_storage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_configured(azurite: str) -> None:
    await empty_storage(azurite)


async def test_the_sample_day_follows_the_rules_while_they_are_entered(visit: Open) -> None:
    page = await visit("/configuration/presence")
    preview = page.locator("#preview")
    await expect(preview).to_contain_text("Free until 09:00 (Busy: Private)")
    await page.get_by_label("Subjects").select_option("true")
    await expect(preview).to_contain_text("Free until 09:00 (Busy: Project meeting)")
    await page.get_by_label("Language").press_sequentially("German")
    await expect(preview).to_contain_text("Frei bis 09:00 (Beschäftigt: Project meeting)")
    await page.get_by_label("Busy", exact=True).select_option("dnd")
    await expect(preview).to_contain_text("Do not disturb")
    await page.get_by_label("Time zone").fill("Nowhere")
    await expect(preview).to_contain_text("as soon as all fields are right")


async def test_a_form_asks_for_what_its_sync_type_needs(visit: Open) -> None:
    page = await visit("/configuration/exchange")
    secret, password = page.locator("#client_secret"), page.locator("#password")
    await expect(password).to_be_hidden()
    await page.get_by_label("Sync type").select_option("on-premises")
    await expect(password).to_be_visible()
    await expect(secret).to_be_hidden()
    await page.get_by_label("Sync type").select_option("cloud-app-only")
    await expect(password).to_be_hidden()
    await expect(secret).to_be_visible()
    assert await faults_of(page) == []


def hear_questions(page: Page) -> list[str]:
    """What the browser asks before a page is left, each with yes for an answer."""
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", answer)
    return asked


async def test_changes_are_not_lost_by_accident(visit: Open) -> None:
    page = await visit("/configuration/pbx")
    asked = hear_questions(page)
    await page.locator("header").get_by_role("link", name="Actions").click()
    await expect(page.locator("h1")).to_have_text("Actions")
    assert asked == []
    await page.goto("/configuration/pbx")
    await page.get_by_label("PBX address").fill("pbx.example.com")
    await page.locator("header").get_by_role("link", name="Actions").click()
    await expect(page.locator("h1")).to_have_text("Actions")
    assert asked == ["beforeunload"]


async def test_who_discards_changes_is_not_asked(visit: Open) -> None:
    page = await visit("/configuration/pbx")
    asked = hear_questions(page)
    await page.get_by_label("PBX address").fill("pbx.example.com")
    await page.get_by_role("link", name="Discard changes").click()
    await expect(page.get_by_label("PBX address")).to_have_value("")
    assert asked == []


async def test_everybody_can_use_a_form_that_somebody_else_has_saved_meanwhile(
    visit: Open, complaints: list[str]
) -> None:
    page, other = await visit("/configuration/pbx"), await visit("/configuration/pbx")
    for each, name, said in ((other, "theirs", "Saved."), (page, "ours", "saved this part meanwhile")):
        await each.get_by_label("PBX name").fill(name)
        await each.locator("#password").fill("secret")
        await each.get_by_role("button", name="Save").click()
        await expect(each.get_by_text(said)).to_be_visible()
    assert "409" in complaints.pop()
    await expect(page.get_by_text("what you entered, but for secrets")).to_be_visible()
    await expect(page.locator("#password-error")).to_contain_text("Enter it again")
    assert await faults_of(page) == []
    asked = hear_questions(page)
    await page.get_by_role("link", name="See what is stored now").click()
    await expect(page.get_by_label("PBX name")).to_have_value("theirs")
    assert asked == []


async def test_a_section_is_filled_in_and_saved_by_keyboard_alone(visit: Open) -> None:
    page = await visit("/configuration/pbx")
    await page.locator("#address").focus()
    for text in ("pbx.example.com", "master"):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("secret")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Saved. It takes effect now")).to_be_visible()
    await expect(page.get_by_text("Set on")).to_be_visible()
    assert await page.locator("#password").input_value() == ""
    assert await faults_of(page) == []
