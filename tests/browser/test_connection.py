"""Test connection in a browser: the steps come by themselves, and without script by a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from dev.exchange import ExchangeSimulator
from dev.pbx import PbxSimulator
from dev.pbx.switchboard import APIS
from shared.sync import checking_exchange
from tests.browser.conftest import Open, faults_of, listening
from tests.integration.admin.pages import open_services
from tests.storage import empty

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ACCOUNT = "calendar@example.com"
NOWHERE = "127.0.0.1:9"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(azurite: str) -> AsyncIterator[str]:
    """The pages in this process, which carries tests out itself; at their callback nobody listens."""
    running: list[asyncio.Task[None]] = []

    async def carry_out(identity: str) -> None:
        running.append(asyncio.create_task(calendar.checker().run(identity)))

    async with open_services(azurite) as calendar:
        await calendar.storage.create()
        await empty(calendar.storage)
        calendar.queues.check = carry_out  # type: ignore[method-assign]
        async with listening(calendar) as url:
            yield url
        await asyncio.gather(*running)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    async with ExchangeSimulator(user=ACCOUNT, seed=[{"address": ACCOUNT}], minute=0.5) as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def mended(exchange: ExchangeSimulator) -> Iterator[None]:
    """What one test breaks is whole for the next."""
    yield
    exchange.remove_faults()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pbx() -> AsyncIterator[PbxSimulator]:
    async with PbxSimulator(users=[{"h323": "anna", "cn": "Anna"}]) as pbx:
        yield pbx


@dataclass(frozen=True)
class Broken:
    """A part that is broken, by what is entered or by how the other side behaves, and what is said then."""

    step: str
    text: str
    remedy: str
    entered: Mapping[str, str] = field(default_factory=dict)
    fault: Mapping[str, str] = field(default_factory=dict)
    """Of Exchange."""
    apis: frozenset[str] = APIS
    """That the PBX grants."""


BROKEN = {
    "Exchange is not found": Broken(
        "exchange.discovery",
        "found no Exchange for this address",
        "publish Autodiscover",
        {"url": "", "user": "calendar@nowhere.invalid"},
    ),
    "Exchange is not where it should be": Broken(
        "exchange.sign_in", "cannot be reached", "firewall", {"url": NOWHERE}
    ),
    "Exchange's password": Broken(
        "exchange.sign_in", "refused the account", "user and password", {"password": "wrong"}
    ),
    "no Exchange": Broken(
        "exchange.sign_in", "A web page (HTML) answered", "proxy", fault={"kind": "login_page"}
    ),
    "the mailbox": Broken(
        "exchange.mailbox", "no mailbox with this address", "a contact", {"mailbox": "nobody@example.com"}
    ),
    "impersonation": Broken(
        "exchange.mailbox",
        "may not impersonate",
        "ApplicationImpersonation",
        fault={"kind": "response", "operation": "ResolveNames", "code": "ErrorImpersonationDenied"},
    ),
    "the calendar": Broken(
        "exchange.reading",
        "denies access",
        "management scope",
        {"detection": "poll"},
        {"kind": "response", "operation": "FindItem", "code": "ErrorAccessDenied"},
    ),
    "the subscription": Broken(
        "exchange.subscription",
        "callback address",
        "CALENDAR_CALLBACK_URL",
        fault={"kind": "response", "operation": "Subscribe", "code": "ErrorInvalidPushSubscriptionUrl"},
    ),
    "the callback": Broken(
        "exchange.callback", "No notification of Exchange arrived", "set the detection to poll"
    ),
    "the PBX is not where it should be": Broken(
        "pbx.login", "no connection to the PBX", "PBX is running", {"address": NOWHERE}
    ),
    "the PBX's password": Broken("pbx.login", "refused the app", "App object", {"password": "wrong"}),
    "the PBX's name": Broken("pbx.name", "'master'", "Correct the PBX name", {"name": "another"}),
    "PbxApi": Broken("pbx.apis", "Not granted: PbxApi.", "App object", apis=APIS - {"PbxApi"}),
    "TableUsers": Broken("pbx.apis", "Not granted: TableUsers.", "App object", apis=APIS - {"PbxTableUsers"}),
}


async def fill_in(page: Page, values: Mapping[str, str]) -> None:
    await page.get_by_text("Advanced").click()
    for name, value in values.items():
        place = page.locator(f'#settings [name="{name}"]')
        if await place.evaluate("place => place.localName") == "select":
            await place.select_option(value)
        else:
            await place.fill(value)


async def entered(page: Page) -> dict[str, str]:
    """All that stands in the form."""
    found: dict[str, str] = await page.evaluate(
        "Object.fromEntries(new FormData(document.getElementById('settings')))"
    )
    return found


def exchange_form(exchange: ExchangeSimulator) -> dict[str, str]:
    return {
        "sync_type": "on-premises",
        "user": ACCOUNT,
        "password": exchange.password,
        "url": exchange.ews_url,
        "certificate": exchange.ca_pem.decode(),
    }


def pbx_form(pbx: PbxSimulator) -> dict[str, str]:
    switchboard = pbx.switchboard
    given = {"address": pbx.url, "name": switchboard.name, "password": switchboard.password}
    return given | {"certificate": pbx.ca_pem}


@pytest.mark.parametrize("part", BROKEN)
async def test_a_broken_part_shows_at_its_step_with_what_to_do(
    visit: Open,
    exchange: ExchangeSimulator,
    pbx: PbxSimulator,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    broken = BROKEN[part]
    system, _, _ = broken.step.partition(".")
    monkeypatch.setattr(checking_exchange, "PATIENCE", 1.0)
    monkeypatch.setattr(pbx.switchboard, "apis", broken.apis)
    page = await visit(f"/configuration/{system}")
    usual = exchange_form(exchange) if system == "exchange" else pbx_form(pbx)
    await fill_in(page, {**usual, **broken.entered})
    before = await entered(page)
    if broken.fault:
        exchange.add_fault(**broken.fault)
    await page.get_by_role("button", name="Test connection").click()
    state = page.locator("#trial-state")
    await expect(state).to_have_text("The test is over: 1 step failed.")
    step = page.locator(f"[data-step='{broken.step}']")
    await expect(step).to_contain_text(broken.text)
    await expect(step.locator(".remedy")).to_contain_text("What to do:")
    await expect(step.locator(".remedy")).to_contain_text(broken.remedy)
    steps = [await each.get_attribute("data-step") for each in await page.locator("[data-step]").all()]
    good = steps.index(broken.step)
    assert await page.locator("[data-step] .badge").all_inner_texts() == [
        *("Passed" for _ in steps[:good]),
        "Failed",
        *("Not tried" for _ in steps[good + 1 :]),
    ]
    assert await entered(page) == before


async def test_an_api_that_is_not_needed_is_missed_by_a_warning(
    visit: Open, pbx: PbxSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx.switchboard, "apis", APIS - {"PbxAdminApi"})
    page = await visit("/configuration/pbx")
    await fill_in(page, pbx_form(pbx))
    await page.get_by_role("button", name="Test connection").click()
    state = page.locator("#trial-state")
    await expect(state).to_have_text("The test is over: everything works, with 2 warnings.")
    assert await page.locator("[data-step] .badge").all_inner_texts() == [
        *("Passed", "Warning", "Warning", "Passed")
    ]
    await expect(page.locator("[data-step='pbx.name'] .remedy")).to_contain_text("Tick Admin")


async def test_a_version_of_exchange_that_is_not_known_is_a_warning(
    visit: Open, exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange._endpoint, "_version", "14.3.123.4")
    page = await visit("/configuration/exchange")
    await fill_in(page, exchange_form(exchange) | {"detection": "poll"})
    await page.get_by_role("button", name="Test connection").click()
    state = page.locator("#trial-state")
    await expect(state).to_have_text("The test is over: everything works, with 1 warning.")
    version = page.locator("[data-step='exchange.version']")
    await expect(version).to_contain_text("14.3.123.4, which is not known here.")
    await expect(version.locator(".remedy")).to_contain_text("Exchange 2013 SP1 or newer is needed")


async def test_what_was_corrected_is_tested_again_and_not_saved(visit: Open, pbx: PbxSimulator) -> None:
    page = await visit("/configuration/pbx")
    await fill_in(page, pbx_form(pbx) | {"password": "wrong"})
    await page.get_by_role("button", name="Test connection").click()
    login = page.locator("[data-step='pbx.login']")
    await expect(login.get_by_text("Failed", exact=True)).to_be_visible()
    assert await faults_of(page) == []
    await page.locator("#password").fill(pbx.switchboard.password)
    await page.get_by_role("button", name="Test connection").click()
    everything = page.get_by_text("The test is over: everything works.")
    await expect(everything).to_be_visible()
    await expect(page.locator("[data-outcome=passed]")).to_have_count(4)
    await page.reload()
    assert await page.get_by_label("PBX address").input_value() == "", "nothing was saved"


async def test_a_wrong_field_is_named_and_nothing_is_tested(visit: Open, complaints: list[str]) -> None:
    page = await visit("/configuration/pbx")
    await page.get_by_label("App object").fill("9")
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.get_by_text("Nothing was tested.")).to_be_visible()
    assert "422" in complaints.pop()
    assert await faults_of(page) == []
    await page.get_by_role("link", name="App object").click()
    assert await page.evaluate("document.activeElement.id") == "app"


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


async def test_everybody_can_use_the_pages(visit: Open) -> None:
    page = await visit("/configuration/test")
    assert await faults_of(page) == []
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.locator("#trial-state")).to_contain_text("failed")
    assert await faults_of(page) == []
    await page.get_by_role("link", name="Another test").click()
    await expect(page.get_by_label("What to test")).to_be_visible()


async def test_the_steps_show_while_the_test_goes_on(
    visit: Open, exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_exchange, "PATIENCE", 4.0)
    page = await visit("/configuration/exchange")
    await fill_in(page, exchange_form(exchange))
    await page.get_by_label("Mailbox to try").press("Enter")
    callback = page.locator("[data-step='exchange.callback']")
    await expect(callback.locator(".badge")).to_have_text("Running")
    await expect(page.locator("#trial-state")).to_have_text("6 of 7 steps are done.")
    await expect(page.locator("[data-outcome=passed]")).to_have_count(6)
    await expect(callback.locator(".badge")).to_have_text("Failed")
