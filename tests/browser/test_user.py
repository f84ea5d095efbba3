"""One user's page and the page of the phones, for everybody's eyes and hands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from dev.pbx import PbxSimulator, Viewer
from functions.services import Services
from shared.model import Agenda, Appointment, Failure, MailboxState, Sensitivity, ShowAs, User
from tests.browser.conftest import Open, faults_of, listening
from tests.integration.admin.pages import open_services
from tests.storage import empty

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GUID = "c" * 32
PAGE = f"/users/{GUID}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def calendar(azurite: str) -> AsyncIterator[Services]:
    """Somebody with a full calendar and a failure, whom no timer touches."""
    now = datetime.now(UTC)

    def appoint(number: int, start: float, hours: float, **others: Any) -> Appointment:
        begin = now + timedelta(hours=start)
        values = {"subject": f"Meeting {number}", "show_as": ShowAs.BUSY} | others
        return Appointment(str(number), begin, begin + timedelta(hours=hours), **values)

    appointments = (
        appoint(1, 1, 2),
        appoint(2, 1.5, 5, show_as=ShowAs.OUT_OF_OFFICE),
        appoint(3, 2, 1, subject="", rank=1, sensitivity=Sensitivity.PRIVATE),
        appoint(4, -1, 30, show_as=ShowAs.WORKING_ELSEWHERE),
        appoint(5, 20, 2, subject="", rank=1, show_as=ShowAs.TENTATIVE),
    )
    async with open_services(azurite) as calendar:
        await calendar.storage.create()
        await empty(calendar.storage)
        await calendar.users.add(User(GUID, "carla", "Carla Cruz"), ("carla@example.com",))
        await calendar.users.set_mailbox(GUID, MailboxState.FOUND, "carla@example.com")
        failure = Failure("ErrorAccessDenied", "Exchange denies access.", now, 2, None)
        await calendar.users.set_failure(GUID, failure)
        await calendar.agendas.save(GUID, Agenda(appointments, now, now + timedelta(hours=48), 1))
        yield calendar


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(calendar: Services) -> AsyncIterator[str]:
    async with listening(calendar) as url:
        yield url


async def test_everybody_can_use_a_users_page(visit: Open) -> None:
    assert await faults_of(await visit(PAGE)) == []


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


async def test_the_page_follows_by_itself_and_leaves_alone_what_is_being_entered(
    visit: Open, calendar: Services
) -> None:
    page = await visit(f"{PAGE}?language=de&done=read")
    await expect(page.get_by_text("The calendar is being read")).to_be_visible()
    await page.clock.install()
    await page.reload()
    await expect(page.locator("h1")).to_have_text("Carla Cruz")
    await expect(page.get_by_text("The calendar is being read")).to_have_count(0)
    zone = page.get_by_label("Time zone of the viewer")
    await zone.fill("Europe/")
    agenda = await calendar.agendas.get(GUID)
    assert agenda is not None
    now = datetime.now(UTC)
    fresh = Appointment(
        "6", now, now + timedelta(hours=40), "Something new", show_as=ShowAs.OUT_OF_OFFICE, rank=9
    )
    await calendar.agendas.save(GUID, replace(agenda, appointments=(fresh,)))
    await calendar.users.set_failure(GUID, Failure("ErrorItemNotFound", "It is gone.", now, 1, None))
    await page.clock.fast_forward(10_000)
    await expect(page.locator("#shown strong")).to_contain_text("Something new bis")
    await expect(page.locator("#troubles")).to_contain_text("It is gone.")
    await expect(page.locator("#why li")).to_contain_text(["Something new"])
    await expect(zone).to_have_value("Europe/")
    await expect(zone).to_be_focused()
    assert await page.locator("#shown").count() == await page.locator("#rest").count() == 1


async def test_everybody_can_use_the_page_of_the_phones(browser: Browser) -> None:
    users = [{"h323": name} for name in ("anna", "bert", "carla", "dora")]
    async with PbxSimulator(users=users, viewer=Viewer("en", "Europe/Berlin")) as pbx:
        for row, activity in zip(pbx.users.rows(), ("", "busy", "away", "dnd"), strict=True):
            pbx.set_by_hand(row.guid, activity, "Something")
        page = await browser.new_page(bypass_csp=True)
        await page.goto(f"{pbx.control_url}/phones")
        await expect(page.locator(".phone")).to_have_count(4)
        assert await faults_of(page) == []
        await page.close()
