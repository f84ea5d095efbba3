"""Status, users and debugging with a company behind them, for everybody's eyes and hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from functions.services import Services
from shared.ews.recording import Record
from shared.metrics import Tally
from shared.model import Activity, Failure, MailboxState, Presence, User
from shared.sync.interfaces import Census, Heartbeat, Trouble
from tests.browser.conftest import Open, faults_of, listening
from tests.integration.admin.pages import configure, now, open_services
from tests.storage import empty

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ANNA = User("a" * 32, "anna", "Anna Bauer", "Bauer, Anna", ("anna.bauer@example.com",))
BERT = User("b" * 32, "bert", "Bert Älbler", "Älbler, Bert", ("bert@example.com",))
MANY = [User(f"{n:032x}", f"user{n}", f"Somebody {n}", f"{n}, Somebody") for n in range(60)]
RECORD = Record(
    now() - timedelta(minutes=5),
    0.25,
    "https://mail.example.com/EWS/Exchange.asmx",
    {"soapaction": '"http://schemas.microsoft.com/exchange/services/2006/messages/FindItem"'},
    "<m:FindItem xmlns:m='m'/>",
    200,
    {"request-id": "abc"},
    "<m:FindItemResponse xmlns:m='m'><m:ResponseCode>NoError</m:ResponseCode></m:FindItemResponse>",
    "",
)
PAGES = ("/", "/users", "/users?state=failing", "/debugging")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def calendar(azurite: str) -> AsyncIterator[Services]:
    """A company in the middle of a bad day, where no timer touches it."""
    async with open_services(azurite) as calendar:
        await calendar.storage.create()
        await empty(calendar.storage)
        await configure(calendar)
        users = [ANNA, BERT, *MANY]
        await calendar.users.add_all([(user, user.emails) for user in users])
        await calendar.listing.store(users)
        await calendar.users.set_mailbox(ANNA.guid, MailboxState.FOUND, ANNA.emails[0])
        await calendar.users.set_mailbox(BERT.guid, MailboxState.NONE)
        failure = Failure("ErrorAccessDenied", "Exchange denies access.", now(), 2, None)
        await calendar.users.set_failure(ANNA.guid, failure)
        busy = Presence(Activity.BUSY, "Busy until 10:30 #busy #until:1503304200000", now())
        await calendar.outbox.put(ANNA.guid, "anna", "1", busy)
        await calendar.outbox.acknowledge(await calendar.outbox.take(now(), 5), now())
        for name in ("tick", "upkeep", "directory"):
            await calendar.health.beat(Heartbeat(name, now(), 0.5, ""))
        await calendar.health.set_trouble("pbx", Trouble("Unreachable", "It is away.", now(), 2, now()))
        census = Census(now(), total=62, with_mailbox=1, without_mailbox=1, unresolved=60, failing=1)
        await calendar.health.set_census(census)
        for hour in range(24):
            tally = Tally(Counter(notifications=9 * hour, reads=hour, presences=3, errors_user=hour % 5))
            await calendar.counters.put(now() - timedelta(hours=hour), "a", tally)
        await calendar.recordings.add(RECORD)
        await calendar.recordings.add(replace(RECORD, status=0, answer="", error="Timeout"))
        yield calendar


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(calendar: Services) -> AsyncIterator[str]:
    async with listening(calendar) as url:
        yield url


@pytest.mark.parametrize("path", PAGES)
async def test_everybody_can_use_the_page(visit: Open, path: str) -> None:
    page = await visit(path)
    assert await faults_of(page) == []
    assert await page.locator("[style]").count() == 0


async def test_everybody_can_use_the_page_of_a_record(visit: Open) -> None:
    page = await visit("/debugging")
    await page.locator("#records td a").last.click()
    await expect(page.locator("h1")).to_have_text("A request to Exchange")
    assert await faults_of(page) == []
    assert await page.locator("[style]").count() == 0


async def test_the_status_follows_by_itself_and_leaves_the_focus_where_it_is(
    visit: Open, calendar: Services
) -> None:
    page = await visit("/")
    await page.clock.install()
    await page.reload()
    tile = page.locator("#tile-total")
    await expect(tile).to_contain_text("62")
    await tile.focus()
    census = await calendar.health.census()
    assert census is not None
    await calendar.health.set_census(replace(census, total=4711))
    await page.clock.fast_forward(10_000)
    await expect(tile).to_contain_text("4,711")
    assert await page.evaluate("document.activeElement.id") == "tile-total"
    assert await page.locator("#announcement").inner_text() == ""
    await calendar.health.set_census(census)


async def test_who_does_not_look_or_wants_rest_is_not_disturbed(visit: Open) -> None:
    page = await visit("/")
    asked: list[str] = []
    # The browser may ask for the page's icon after everything else.
    page.on("request", lambda each: None if "/static/" in each.url else asked.append(each.url))
    ask = "document.dispatchEvent(new Event('visibilitychange'))"
    await page.get_by_role("button", name="Pause updates").click()
    await page.evaluate(ask)
    await expect(page.get_by_role("button", name="Go on updating")).to_be_visible()
    assert asked == []
    async with page.expect_response("**/status"):
        await page.get_by_role("button", name="Go on updating").click()
    assert [urlsplit(each).path for each in asked] == ["/status"]
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    await page.evaluate(ask)
    await page.wait_for_timeout(300)
    assert len(asked) == 1


async def test_everybody_is_read_again_after_a_question_by_keyboard(visit: Open, calendar: Services) -> None:
    page = await visit("/")
    await page.locator("details.confirm summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Everybody's calendar is being read")).to_be_visible()
    await expect(page.get_by_role("progressbar", name="Parts of the users")).to_be_visible()
    assert (await calendar.audit.latest(1))[0].what == "had all calendars read"


async def test_users_are_found_while_one_types(visit: Open) -> None:
    page = await visit("/users")
    region = page.get_by_role("status").filter(has_text="50 users on this page, more follow.")
    told = await region.element_handle()
    assert told is not None
    await page.get_by_label("Name, user name or address").press_sequentially("albler")
    await expect(page.locator("#found tbody tr")).to_have_count(1)
    await expect(page.locator("#found")).to_contain_text("Älbler, Bert")
    # Screen readers only read out what changes in an element that stays.
    assert await told.evaluate("told => told.isConnected && told.textContent") == "1 user on this page."
    await expect(page.get_by_label("Name, user name or address")).to_be_focused()
    assert "query=albler" in page.url
    await page.get_by_label("State").select_option("failing")
    await expect(page.get_by_role("status").filter(has_text="Nobody was found.")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
async def test_the_list_is_gone_through_to_a_user(visit: Open, script: bool) -> None:
    page = await visit("/users", java_script_enabled=script)
    await expect(page.locator("#found tbody tr")).to_have_count(50)
    await page.get_by_role("link", name="Next page").click()
    await expect(page.locator("#found tbody tr")).to_have_count(12)
    await page.get_by_role("link", name="First page").click()
    await expect(page.locator("#found tbody tr")).to_have_count(50)
    await page.get_by_label("Name, user name or address").fill("bauer")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="Bauer, Anna").click()
    await expect(page.locator("h1")).to_have_text("Bauer, Anna")


@pytest.mark.parametrize("script", [True, False])
async def test_recording_is_switched_on_and_off(visit: Open, script: bool) -> None:
    page = await visit("/debugging", java_script_enabled=script)
    await page.get_by_label("Record for").select_option("15")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.locator("#recording")).to_contain_text("without subjects")
    await page.get_by_role("button", name="Stop recording").click()
    await expect(page.get_by_text("Nothing more is recorded")).to_be_visible()
