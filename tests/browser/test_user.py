"""One user's page and the page of the phones, for everybody's eyes and hands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from dev.pbx import PbxSimulator, Viewer
from functions.admin.app import create_app
from functions.services import Services
from shared.model import Agenda, Appointment, Failure, MailboxState, Sensitivity, ShowAs, User
from tests.browser.conftest import LOOKS, Open, Scheme, is_too_wide, violations
from tests.storage import empty, environment_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GUID = "c" * 32
PAGE = f"/users/{GUID}"
HOME = "http://localhost:7071"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def application(azurite: str) -> AsyncIterator[httpx.AsyncClient]:
    """The pages in this process, where no timer touches somebody with a full calendar and a failure."""
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
    administration = replace(environment_of(azurite).administration, local=True)
    calendar = Services(replace(environment_of(azurite), callback_url=HOME, administration=administration))
    await calendar.storage.create()
    await empty(calendar.storage)
    await calendar.users.add(User(GUID, "carla", "Carla Cruz"), ("carla@example.com",))
    await calendar.users.set_mailbox(GUID, MailboxState.FOUND, "carla@example.com")
    failure = Failure("ErrorAccessDenied", "Exchange denies access.", now, 2, None)
    await calendar.users.set_failure(GUID, failure)
    await calendar.agendas.save(GUID, Agenda(appointments, now, now + timedelta(hours=48), 1))
    transport = httpx.ASGITransport(create_app(calendar))
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield client
    await calendar.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(application: httpx.AsyncClient, browser: Browser) -> AsyncIterator[Open]:
    """Opens the user's page; at the end it must not have complained about anything."""
    complaints: list[str] = []
    contexts = []

    async def forward(route: Route) -> None:
        answer = await application.get(route.request.url)
        await route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    async def open_page(scheme: Scheme = "light", width: int = 1280, **options: Any) -> Page:
        viewport: Any = {"width": width, "height": 800}
        context = await browser.new_context(color_scheme=scheme, viewport=viewport, **options)
        contexts.append(context)
        page = await context.new_page()
        await page.route("**/*", forward)
        page.on("console", lambda each: complaints.append(each.text) if each.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = await page.goto(f"{HOME}{PAGE}")
        assert answer is not None
        assert answer.status == 200
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_everybody_can_use_a_users_page(visit: Open, scheme: Scheme, width: int) -> None:
    page = await visit(scheme, width)
    assert await violations(page) == []
    assert not await is_too_wide(page)


async def test_the_picture_is_named_and_styled_by_classes_only(visit: Open) -> None:
    page = await visit()
    picture = page.get_by_role("img", name="The next 48 hours of Carla Cruz")
    await expect(picture).to_be_visible()
    assert await picture.locator(".wins").count() >= 3
    assert await page.locator("[style]").count() == 0


async def test_another_viewer_reads_another_language_without_script(visit: Open) -> None:
    page = await visit(java_script_enabled=False)
    await page.get_by_label("Language of the viewer").select_option("de")
    await page.get_by_role("button", name="Read as this viewer").click()
    await expect(page.locator("#now strong")).to_contain_text(" bis ")
    assert await page.locator("#now strong").get_attribute("lang") == "de"


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
