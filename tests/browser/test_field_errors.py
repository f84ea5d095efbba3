"""Every field of the configuration that is checked says, beside itself, what is wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, expect

from dev.host import FunctionsHost
from functions.admin.pages.forms import QUESTIONS, Question
from tests.browser.conftest import faults_of
from tests.integration.admin.conftest import API, empty_storage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


ON_PREMISES, CLOUD = {"sync_type": "on-premises"}, {"sync_type": "cloud-app-only"}
DECIDED = {"show_subject": "false"}


@dataclass(frozen=True)
class Slip:
    """A value that is refused, and how that is said; ``others`` are entered first."""

    value: str
    fault: str
    others: Mapping[str, str] = field(default_factory=dict)


SLIPS: Mapping[str, Slip] = {
    "pbx.address": Slip("pbx example", "Is neither a host name nor a wss:// address"),
    "pbx.app": Slip("9calendar", "Begins with a digit"),
    "pbx.scope_app": Slip("", "Is empty", {"scope": "app"}),
    "pbx.scope_groups": Slip("", "Is empty", {"scope": "groups"}),
    "pbx.certificate": Slip("no certificate", "Is no certificate in PEM form"),
    "exchange.user": Slip("calendar", "Is not a complete e-mail address", ON_PREMISES),
    "exchange.client_id": Slip("calendar", "Is no application (client) ID", CLOUD),
    "exchange.tenant_id": Slip("my tenant", "Is neither a directory (tenant) ID nor a domain", CLOUD),
    "exchange.client_certificate": Slip("no certificate", "Is not in PEM form", CLOUD),
    "exchange.secret_expires_on": Slip("12027-05-31", "Is no date", CLOUD),
    "exchange.url": Slip("http://mail.example.com", "Is http", ON_PREMISES),
    "exchange.cloud": Slip("china", "Does not fit the url", CLOUD | {"url": "outlook.office365.com"}),
    "exchange.scope": Slip("everything", "Is no scope", CLOUD),
    "exchange.poll_minutes": Slip("4", "greater than or equal to 5", ON_PREMISES),
    "exchange.max_subscriptions": Slip("1001", "less than or equal to 1000", ON_PREMISES),
    "exchange.certificate": Slip("no certificate", "Is no certificate in PEM form", ON_PREMISES),
    "presence.timezone": Slip("Nowhere", "is not a time zone", DECIDED),
    "presence.show_subject": Slip("", "Is not decided yet"),
}
UNCHECKED = {
    *("pbx.name", "pbx.password", "pbx.domain"),
    *("exchange.password", "exchange.client_secret", "exchange.allow_plain_http"),
    *("presence.tentative_exception_organizers", "presence.prioritized", "presence.not_prioritized"),
}
"""In these fields anything is right."""

FOREIGN = "of-another-version"
"""A choice that only a page offers that was opened before an update."""


ASKED: Mapping[str, Question] = {
    f"{section}.{each.name}": each for section, asked in QUESTIONS.items() for each in asked
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page(host: FunctionsHost, browser: Browser, azurite: str) -> AsyncIterator[Page]:
    """One for all fields, where nothing is configured."""
    await empty_storage(azurite)
    context = await browser.new_context(base_url=host.url)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    yield page
    await context.close()


async def enter(page: Page, name: str, value: str) -> None:
    """Fill in a field that shows."""
    place = page.locator(f'#settings [name="{name}"]')
    if await place.evaluate("place => place.localName") != "select":
        await place.fill(value)
        return
    if value == FOREIGN:
        await place.evaluate("(place, value) => place.add(new Option(value))", value)
    await place.select_option(value)


async def answers(page: Page) -> dict[str, str]:
    """All that stands in the form."""
    found: dict[str, str] = await page.evaluate(
        "Object.fromEntries(new FormData(document.getElementById('settings')))"
    )
    return found


async def expect_faults(page: Page, faults: Mapping[str, str]) -> None:
    """These and no others; the summary is read first and leads to the fields, which are tied to them."""
    summary = page.get_by_role("alert")
    await expect(summary).to_be_focused()
    await expect(summary.get_by_role("link")).to_have_count(len(faults))
    await expect(page.locator("p.error")).to_have_count(len(faults))
    for name, fault in faults.items():
        await expect_fault(page, name, fault)


async def expect_fault(page: Page, name: str, fault: str) -> None:
    place = page.locator(f'#settings [name="{name}"]')
    error = page.locator(".field.wrong").filter(has=page.locator(f'[name="{name}"]')).locator("p.error")
    await expect(error).to_contain_text(fault)
    await expect(error).to_be_visible()
    await expect(place).to_have_attribute("aria-invalid", "true")
    described = await place.get_attribute("aria-describedby") or ""
    assert await error.get_attribute("id") in described.split()
    await page.get_by_role("alert").locator(f'a[href="#{name}"]').click()
    await expect(place).to_be_focused()
    await expect(place).to_be_in_viewport()


async def read_version(page: Page, section: str) -> str:
    """The mark of what is stored."""
    return (await page.request.get(f"{API}/configuration/{section}")).headers["etag"]


@pytest.mark.parametrize("field", [name for name in ASKED if name not in UNCHECKED])
async def test_a_fault_stands_beside_its_field_and_nothing_else_is_lost(page: Page, field: str) -> None:
    section, _, name = field.partition(".")
    usual = {"presence": DECIDED, "exchange": ON_PREMISES}.get(section, {})
    slip = SLIPS.get(field) or Slip(FOREIGN, "", CLOUD if "cloud-app-only" in ASKED[field].only else usual)
    secrets = {each.name for each in QUESTIONS[section] if "secret" in each.kind}
    await page.goto(f"/configuration/{section}")
    await page.get_by_text("Advanced").click()
    for other, value in slip.others.items():
        await enter(page, other, value)
    typed = {}
    for secret in secrets:
        if await page.locator(f'#settings input[name="{secret}"]').is_visible():
            await enter(page, secret, "secret")
            typed[secret] = "Was not kept, as nothing was saved. Enter it again."
    await enter(page, name, slip.value)
    entered = await answers(page)
    before = await read_version(page, section)

    await page.get_by_role("button", name="Save").click()
    await expect_faults(page, typed | {name: slip.fault})
    unknown = {name} if slip.value == FOREIGN else set()
    kept = entered | dict.fromkeys(secrets, "")
    found = await answers(page)
    assert {each: found[each] for each in kept if each not in unknown} == {
        each: kept[each] for each in kept if each not in unknown
    }
    assert await read_version(page, section) == before


async def test_a_fault_of_a_field_that_the_sync_type_does_not_need_shows_all_the_same(page: Page) -> None:
    await page.goto("/configuration/exchange")
    await enter(page, "sync_type", "cloud-app-only")
    await enter(page, "client_id", "calendar")
    await enter(page, "sync_type", "on-premises")
    await expect(page.locator("#client_id")).to_be_hidden()
    await page.get_by_role("button", name="Save").click()
    await expect_faults(page, {"client_id": "Is no application (client) ID"})


async def test_everybody_can_use_a_form_with_many_faults_all_said_at_once(page: Page) -> None:
    await page.goto("/configuration/presence")
    await enter(page, "timezone", "Nowhere")
    await enter(page, "mapping.busy", FOREIGN)
    await page.get_by_role("button", name="Save").click()
    summary = page.get_by_role("alert")
    await expect(summary).to_be_focused()
    assert set(await summary.get_by_role("link").all_inner_texts()) == {"Subjects", "Time zone", "Busy"}
    assert await faults_of(page) == []


async def test_what_was_refused_is_not_left_by_accident(page: Page) -> None:
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    await page.goto("/configuration/pbx")
    await enter(page, "address", "pbx example")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    page.on("dialog", answer)
    await page.locator("header").get_by_role("link", name="Actions").click()
    await expect(page.locator("h1")).to_have_text("Actions")
    assert asked == ["beforeunload"]
    page.remove_listener("dialog", answer)
