"""One user's page and the API behind it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from functions.admin.app import create_app
from functions.services import Services
from shared.environment import Environment
from shared.model import (
    Activity,
    Agenda,
    Appointment,
    CalendarUser,
    Failure,
    MailboxState,
    Presence,
    Sensitivity,
    ShowAs,
    Subscription,
    User,
)
from shared.settings import parse_section
from shared.state.storage import Storage

pytestmark = pytest.mark.integration

API = "/api/admin/v1/users"
GUID = "a" * 32
NOW = datetime(2026, 11, 23, 8, 20, tzinfo=UTC)
PAGE = f"/users/{GUID}"
BUSY = Presence(Activity.BUSY, "Busy", NOW + timedelta(hours=1))


@pytest.fixture
async def calendar(storage: Storage, azurite: str) -> AsyncIterator[Services]:
    environment = Environment.read(
        {
            "AzureWebJobsStorage": azurite,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": "http://localhost:7071",
            "CALENDAR_ADMIN_SIGN_IN": "local",
        }
    )
    calendar = Services(environment)
    section = parse_section("presence", {"timezone": "Europe/Berlin"})
    stored = await calendar.config.load_section("presence")
    await calendar.config.save("presence", section, stored.etag, "test", NOW)
    names = ("anna", "Anna Bauer", "Anna <b>Bauer</b>", ("anna@example.com",))
    anna = User(GUID, *names, "branch", ("sales",), ("calendar", "softphone"))
    await calendar.users.add(anna, ("anna@example.com",))
    yield calendar
    await calendar.close()


@pytest.fixture
async def browser(calendar: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(calendar, lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071") as browser:
        yield browser


async def store_agenda(calendar: Services) -> None:
    meeting = Appointment("1", NOW + timedelta(hours=1), NOW + timedelta(hours=2), "Review <i>")
    doctor = Appointment(
        "2", NOW + timedelta(hours=1), NOW + timedelta(hours=3), sensitivity=Sensitivity.PRIVATE, rank=1
    )
    maybe = Appointment(
        "3", NOW + timedelta(hours=4), NOW + timedelta(hours=5), show_as=ShowAs.TENTATIVE, rank=1
    )
    agenda = Agenda((meeting, doctor, maybe), NOW, NOW + timedelta(hours=48), 1)
    await calendar.agendas.save(GUID, agenda)
    await calendar.users.set_mailbox(GUID, MailboxState.FOUND, "anna@example.com")
    await calendar.users.set_subscription(GUID, Subscription("s", NOW, NOW))


async def press(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Press a button of the page as a browser does."""
    page = await browser.get(PAGE)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    headers = {"Origin": "http://localhost:7071", "Sec-Fetch-Site": "same-origin"}
    return await browser.post(f"{PAGE}/{path}", data={"csrf_token": token[1], **fields}, headers=headers)


async def api(browser: httpx.AsyncClient, method: str, path: str = "", **options: Any) -> httpx.Response:
    me = (await browser.get("/api/admin/v1/me")).json()
    headers = {"Origin": "http://localhost:7071", "X-CSRF-Token": me["csrf_token"] or ""}
    return await browser.request(method, f"{API}/{GUID}{path}", headers=headers, **options)


async def test_the_page_shows_the_note_what_follows_and_why(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await store_agenda(calendar)
    answer = await browser.get(PAGE)
    assert answer.status_code == 200
    text = answer.text
    assert "<h1>Anna &lt;b&gt;Bauer&lt;/b&gt;</h1>" in text
    assert "Free until 10:20 (Busy: Review &lt;i&gt;)" in text
    assert "‘Review &lt;i&gt;’ (10:20 to 11:20) as busy until 11:20" in text
    assert "A private appointment (10:20 to 12:20) loses because it ends later" in text
    assert "Tentative is mapped to ignore" in text
    assert 'class="picture timeline"' in text
    assert "Review <i>" not in text
    assert "anna@example.com" in text
    assert "style=" not in text
    assert "nothing yet" in text


async def test_a_viewer_elsewhere_reads_another_sentence(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await store_agenda(calendar)
    text = (await browser.get(PAGE, params={"language": "de", "timezone": "America/New_York"})).text
    assert "Frei bis 04:20 (Beschäftigt: Review &lt;i&gt;)" in text
    assert '<option value="de" selected>German (Deutsch)</option>' in text
    wrong = await browser.get(PAGE, params={"timezone": "Europe/Nowhere"})
    assert wrong.status_code == 422
    assert "is not a time zone" in wrong.text
    assert "Free until 10:20" in wrong.text


async def test_what_is_wrong_is_said_first(calendar: Services, browser: httpx.AsyncClient) -> None:
    await calendar.users.set_failure(
        GUID, Failure("ErrorAccessDenied", "Exchange denies access.", NOW, 3, None)
    )
    await calendar.outbox.put(GUID, "anna", "1", BUSY)
    [pending] = await calendar.outbox.take(NOW, 10)
    await calendar.outbox.refuse(pending, "error 7: no such user", NOW)
    text = (await browser.get(PAGE)).text
    assert "ErrorAccessDenied:" in text
    assert "Exchange denies access." in text
    assert "3 attempts" in text
    assert "at the next full synchronisation" in text
    assert "error 7: no such user" in text
    assert "has not been read" in text


async def test_a_mailbox_that_can_not_be_looked_for_is_said_too(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    bert = "c" * 32
    await calendar.users.add_all([(User(bert, "bert"), ("bert@example.com",))])
    denied = Failure(
        "ErrorImpersonationDenied", "No right to impersonate.", NOW, 2, NOW + timedelta(minutes=5)
    )
    await calendar.users.set_subscription_failure(bert, denied)
    text = (await browser.get(f"/users/{bert}")).text
    assert "ErrorImpersonationDenied:" in text
    assert "No right to impersonate." in text
    assert "2 attempts" in text
    assert "not found yet" in text
    told = (await browser.get(f"{API}/{bert}")).json()
    assert told["failure"] is None
    assert told["subscription_failure"]["code"] == "ErrorImpersonationDenied"


async def test_the_api_tells_the_same(calendar: Services, browser: httpx.AsyncClient) -> None:
    await store_agenda(calendar)
    await calendar.outbox.put(GUID, "anna", "1", BUSY)
    await calendar.outbox.acknowledge(await calendar.outbox.take(NOW, 10), NOW)
    told = (await api(browser, "GET")).json()
    assert told["user_name"] == "anna"
    assert told["mailbox_state"] == "found"
    assert told["notes"][0]["sentence"] == "Free until 10:20 (Busy: Review <i>)"
    assert told["notes"][0]["note"].startswith("Free until 10:20 (Busy: Review <i>) #free #until:")
    assert [reason["activity"] for reason in told["reasons"]] == ["available", "busy", "busy", "available"]
    assert len(told["omitted"]) == 1
    assert told["on_pbx"]["note"] == "Busy"
    assert (told["home_pbx"], told["groups"], told["apps"]) == (
        "branch",
        ["sales"],
        ["calendar", "softphone"],
    )
    assert datetime.fromisoformat(told["read_at"]) == NOW
    assert told["failure"] is None


async def test_the_api_tells_the_appointments_of_the_timeline(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    def span(start: int, end: int) -> dict[str, Any]:
        hours = {"start": start, "end": end}
        return {name: f"2026-11-23T{8 + hour:02}:20:00Z" for name, hour in hours.items()}

    hidden = "an appointment whose subject is not shown"
    await store_agenda(calendar)
    told = (await api(browser, "GET")).json()["appointments"]
    private = span(1, 3) | {"title": "a private appointment", "activity": "busy", "shows": [span(2, 3)]}
    ignored = span(4, 5) | {"title": hidden, "activity": None, "shows": []}
    review = span(1, 2) | {"title": "Review <i>", "activity": "busy", "shows": [span(1, 2)]}
    assert told == [review, private, ignored]
    stored = await calendar.config.load_section("presence")
    section = parse_section("presence", {"timezone": "Europe/Berlin", "show_subject": False})
    await calendar.config.save("presence", section, stored.etag, "test", NOW)
    await calendar.config.load()
    answer = await api(browser, "GET")
    assert answer.json()["appointments"][0]["title"] == hidden
    assert "Review" not in answer.text


async def test_the_api_tells_of_a_user_of_whom_little_is_known(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    failure = Failure("ErrorAccessDenied", "Exchange denies access.", NOW, 1, NOW + timedelta(minutes=5))
    await calendar.users.set_failure(GUID, failure)
    told = (await api(browser, "GET")).json()
    assert (told["notes"], told["reasons"], told["on_pbx"]) == ([], [], None)
    assert told["failure"]["code"] == "ErrorAccessDenied"


@pytest.mark.parametrize("guid", ["b" * 32, "nobody", "A" * 32])
async def test_a_user_who_is_not_there_is_not_found(browser: httpx.AsyncClient, guid: str) -> None:
    assert (await browser.get(f"/users/{guid}")).status_code == 404
    problem = await browser.get(f"{API}/{guid}")
    assert problem.status_code == 404
    assert problem.json()["detail"] == "There is no such user."


async def test_a_viewer_that_does_not_exist_is_a_problem_of_its_field(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await store_agenda(calendar)
    problem = await api(browser, "GET", params={"language": "tlh"})
    assert problem.status_code == 422
    assert problem.json()["errors"][0]["field"] == "language"


async def test_a_calendar_is_read_again_on_demand(calendar: Services, browser: httpx.AsyncClient) -> None:
    await store_agenda(calendar)
    answer = await press(browser, "read")
    assert answer.status_code == 303
    assert await calendar.storage.waiting("sync") == 1
    assert "is being read" in (await browser.get(answer.headers["location"])).text
    assert (await api(browser, "POST", "/read")).status_code == 202
    assert await calendar.storage.waiting("sync") == 2
    found = await calendar.audit.latest(10)
    assert [(each.what, each.about) for each in found] == [("had a calendar read", "anna")] * 2


async def test_an_excluded_user_is_cleared_and_can_come_back(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await store_agenda(calendar)
    answer = await press(browser, "excluded", excluded="true")
    assert answer.status_code == 303
    user = await calendar.users.get(GUID)
    assert user is not None
    assert user.excluded
    assert await calendar.agendas.get(GUID) is None
    page = await browser.get(PAGE)
    assert "This user is excluded" in page.text
    assert "Read again" not in page.text
    assert (await press(browser, "read")).status_code == 409
    assert (await api(browser, "POST", "/read")).status_code == 409
    assert (await api(browser, "PUT", "/excluded", json={"excluded": False})).status_code == 204
    user = await calendar.users.get(GUID)
    assert user is not None
    assert not user.excluded
    assert (await api(browser, "PUT", "/excluded", json={})).status_code == 422
    what = {each.what for each in await calendar.audit.latest(10)}
    assert what == {"included a user", "excluded a user"}


@pytest.mark.parametrize("excluded", [True, False])
async def test_a_user_who_leaves_while_being_excluded_is_not_found(
    calendar: Services, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, excluded: bool
) -> None:
    get = calendar.users.get

    async def get_and_leave(guid: str) -> CalendarUser | None:
        user = await get(guid)
        await calendar.users.remove(guid)
        return user

    monkeypatch.setattr(calendar.users, "get", get_and_leave)
    answer = await api(browser, "PUT", "/excluded", json={"excluded": excluded})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no such user."
    assert await calendar.audit.latest(5) == []


async def test_a_presence_is_cleared(calendar: Services, browser: httpx.AsyncClient) -> None:
    await store_agenda(calendar)
    assert (await press(browser, "clear")).status_code == 303
    assert await calendar.agendas.get(GUID) is None
    await store_agenda(calendar)
    assert (await api(browser, "POST", "/clear")).status_code == 202
    assert await calendar.agendas.get(GUID) is None


async def test_another_site_presses_no_button(calendar: Services, browser: httpx.AsyncClient) -> None:
    for path in ("read", "excluded", "clear"):
        assert (await browser.post(f"{PAGE}/{path}", data={"excluded": "true"})).status_code == 403
    assert await calendar.storage.waiting("sync") == 0
