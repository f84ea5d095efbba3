"""One user's page and the page of the phones, for everybody's eyes and hands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from dev.pbx import PbxSimulator, Viewer
from shared.model import Agenda, Appointment, Failure, MailboxState, Sensitivity, ShowAs, User
from shared.state.agendas import AgendaStore
from shared.state.storage import Storage
from shared.state.users import UserStore
from tests.browser.conftest import LOOKS, Open, Scheme, is_too_wide, violations
from tests.storage import environment_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GUID = "c" * 32
PAGE = f"/users/{GUID}"


@pytest_asyncio.fixture(loop_scope="module", scope="module", autouse=True)
async def carla(azurite: str) -> None:
    """Somebody with a full calendar and a failure."""
    now = datetime.now(UTC)

    def appoint(number: int, start: float, hours: float, **others: object) -> Appointment:
        begin = now + timedelta(hours=start)
        values = {"subject": f"Meeting {number}", "show_as": ShowAs.BUSY} | others
        return Appointment(str(number), begin, begin + timedelta(hours=hours), **values)  # type: ignore[arg-type]

    appointments = (
        appoint(1, 1, 2),
        appoint(2, 1.5, 5, show_as=ShowAs.OUT_OF_OFFICE),
        appoint(3, 2, 1, subject="", rank=1, sensitivity=Sensitivity.PRIVATE),
        appoint(4, -1, 30, show_as=ShowAs.WORKING_ELSEWHERE),
        appoint(5, 20, 2, subject="", rank=1, show_as=ShowAs.TENTATIVE),
    )
    async with Storage.open(environment_of(azurite)) as storage:
        await storage.create()
        users = UserStore(storage)
        await users.add(User(GUID, "carla", "Carla Cruz"), ("carla@example.com",))
        await users.set_mailbox(GUID, MailboxState.FOUND, "carla@example.com")
        failure = Failure("ErrorAccessDenied", "Exchange denies access.", now, 2, None)
        await users.set_failure(GUID, failure)
        agenda = Agenda(appointments, now, now + timedelta(hours=48), 1)
        await AgendaStore(storage).save(GUID, agenda)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_everybody_can_use_a_users_page(visit: Open, scheme: Scheme, width: int) -> None:
    page = await visit(PAGE, scheme, width)
    assert await violations(page) == []
    assert not await is_too_wide(page)


async def test_the_picture_is_named_and_styled_by_classes_only(visit: Open) -> None:
    page = await visit(PAGE)
    picture = page.get_by_role("img", name="The next 48 hours of Carla Cruz")
    await expect(picture).to_be_visible()
    assert await picture.locator(".wins").count() >= 3
    assert await page.locator("[style]").count() == 0


async def test_another_viewer_reads_another_language_without_script(visit: Open) -> None:
    page = await visit(PAGE, java_script_enabled=False)
    await page.get_by_label("Language of the viewer").select_option("de")
    await page.get_by_role("button", name="Read as this viewer").click()
    await expect(page.locator("#now strong")).to_contain_text(" bis ")
    assert await page.locator("#now strong").get_attribute("lang") == "de"


async def test_a_press_of_read_again_says_that_it_is_done(visit: Open) -> None:
    page = await visit(PAGE)
    await page.get_by_role("button", name="Read again").click()
    await expect(page.get_by_text("The calendar is being read")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_the_page_of_the_phones(browser: Browser, scheme: Scheme) -> None:
    users = [{"h323": name} for name in ("anna", "bert", "carla", "dora")]
    async with PbxSimulator(users=users, viewer=Viewer("en", "Europe/Berlin")) as pbx:
        for row, activity in zip(pbx.users.rows(), ("", "busy", "away", "dnd"), strict=True):
            pbx.set_by_hand(row.guid, activity, "Something")
        context = await browser.new_context(
            color_scheme=scheme, viewport={"width": 360, "height": 800}, bypass_csp=True
        )
        page = await context.new_page()
        await page.goto(f"{pbx.control_url}/phones")
        await expect(page.locator(".phone")).to_have_count(4)
        assert await violations(page) == []
        assert not await is_too_wide(page)
        await context.close()
