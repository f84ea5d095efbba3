"""The list of users, its file for spreadsheets, and the API behind both."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from functions.services import Services
from shared.model import Activity, Failure, MailboxState, Presence, User
from shared.state import listing
from shared.state.storage import Storage
from tests.integration.admin.pages import call, configure, now, open_browser, open_services

pytestmark = pytest.mark.integration

ANNA, BERT, CARLA = ("a" * 32, "b" * 32, "c" * 32)


@pytest.fixture
async def calendar(storage: Storage, azurite: str) -> AsyncIterator[Services]:
    async with open_services(azurite) as calendar:
        await configure(calendar)
        await add(
            calendar,
            User(ANNA, "anna", "Anna Bauer", "Anna <b>Bauer</b>", ("anna@example.com",)),
            User(BERT, "bert", "Bert Äbler", "Äbler, Bert", ("bert@example.com",)),
            User(CARLA, "carla", "Carla Cruz", '=HYPERLINK("http://evil")', ()),
        )
        await calendar.users.set_mailbox(ANNA, MailboxState.FOUND, "anna@example.com")
        await calendar.users.set_mailbox(BERT, MailboxState.FOUND, "+bert@example.com")
        await calendar.users.set_mailbox(CARLA, MailboxState.NONE)
        yield calendar


@pytest.fixture
async def browser(calendar: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with open_browser(calendar) as browser:
        yield browser


async def add(calendar: Services, *users: User) -> None:
    await calendar.users.add_all([(user, user.emails) for user in users])
    await calendar.listing.store(users)


async def names(browser: httpx.AsyncClient, path: str) -> list[str]:
    text = (await browser.get(path)).text
    return re.findall(r'<td role="cell" data-label="User name">(\w+)</td>', text)


async def test_each_user_has_a_row_with_what_shows_and_what_is_wrong(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    until = now() + timedelta(hours=1)
    note = f"Busy until 10:30 #busy #until:{int(until.timestamp() * 1000)}"
    await calendar.outbox.put(ANNA, "anna", "1", Presence(Activity.BUSY, note, until))
    [pending] = await calendar.outbox.take(now(), 5)
    await calendar.outbox.acknowledge([pending], now())
    denied = Failure("ErrorAccessDenied", "Exchange denies <access>.", now(), 3, None)
    await calendar.users.set_subscription_failure(BERT, denied)
    text = (await browser.get("/users")).text
    assert f'<a href="/users/{ANNA}">Anna &lt;b&gt;Bauer&lt;/b&gt;</a>' in text
    assert "<b>Bauer" not in text
    assert 'class="badge busy"' in text
    assert "#busy" not in text
    assert "Busy until " in text
    assert "Exchange denies &lt;access&gt;." in text
    assert 'badge danger">failing' in text
    assert 'badge warning">no mailbox' in text
    told = {each["user_name"]: each for each in (await call(browser, "GET", "/users")).json()["items"]}
    assert (told["anna"]["activity"], told["anna"]["note"]) == ("busy", note)
    assert told["anna"]["refusal"] == ""
    assert told["bert"]["failure"]["code"] == "ErrorAccessDenied"
    assert told["carla"]["activity"] is None
    assert told["carla"]["name"].startswith("=HYPERLINK")


async def test_what_the_pbx_refused_is_in_the_row(calendar: Services, browser: httpx.AsyncClient) -> None:
    busy = Presence(Activity.BUSY, "Busy", now() + timedelta(hours=1))
    await calendar.outbox.put(ANNA, "anna", "1", busy)
    [pending] = await calendar.outbox.take(now(), 5)
    await calendar.outbox.refuse(pending, "error 7: no such user", now())
    assert "The PBX refused the presence: error 7: no such user" in (await browser.get("/users")).text
    told = {each["user_name"]: each for each in (await call(browser, "GET", "/users")).json()["items"]}
    assert (told["anna"]["refusal"], told["bert"]["refusal"]) == ("error 7: no such user", "")
    assert told["anna"]["activity"] is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/users", ["bert", "anna", "carla"]),
        ("/users?sort=user", ["anna", "bert", "carla"]),
        ("/users?query=ABLER", ["bert"]),
        ("/users?query=example.com+an", ["anna"]),
        ("/users?state=without_mailbox", ["carla"]),
        ("/users?state=with_mailbox&query=bert", ["bert"]),
        ("/users?state=failing", []),
        ("/users?state=nonsense&sort=nonsense", ["bert", "anna", "carla"]),
    ],
)
async def test_users_are_searched_filtered_and_sorted(
    browser: httpx.AsyncClient, path: str, found: list[str]
) -> None:
    assert await names(browser, path) == found


async def test_what_was_chosen_is_still_in_the_form_and_in_the_links(browser: httpx.AsyncClient) -> None:
    text = (await browser.get("/users?query=%22%3Ex&state=failing&sort=user")).text
    assert 'value="&#34;&gt;x"' in text
    assert '<option value="failing" selected>' in text
    assert '<option value="user" selected>' in text
    assert "Nobody was found" in text


async def test_many_users_come_in_pages_and_everybody_once(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    many = [User(f"{n:032x}", f"u{n:03}", f"User {n:03}") for n in range(120)]
    await add(calendar, *many)
    seen: list[str] = []
    path, pages = "/users?sort=user&query=u", 0
    while path:
        seen += await names(browser, path)
        pages += 1
        more = re.search(r'href="([^"]+)" rel="next"', (await browser.get(path)).text)
        path = more[1].replace("&amp;", "&") if more else ""
    assert pages == 3
    assert seen == [user.sip for user in many]
    first = (await call(browser, "GET", "/users", params={"limit": 100, "sort": "user"})).json()
    rest = (await call(browser, "GET", "/users", params={"after": first["next"], "sort": "user"})).json()
    assert [each["user_name"] for each in first["items"] + rest["items"]] == seen
    assert rest["next"] is None


async def test_a_page_goes_on_by_itself_where_few_of_very_many_match_but_not_for_ever(
    calendar: Services, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [User(f"{n:032x}", f"u{n:03}", f"User {n:03}") for n in range(60)]
    await add(calendar, *many)
    for user in many[:20]:
        await calendar.users.set_mailbox(user.guid, MailboxState.NONE)
    monkeypatch.setattr(listing, "_FEW", 0)
    monkeypatch.setattr(listing, "_MANY", 1)
    monkeypatch.setattr(listing, "_READ_AT_MOST", 10)
    found = (await call(browser, "GET", "/users", params={"state": "unresolved", "limit": 9})).json()
    assert [each["user_name"] for each in found["items"]] == [f"u{n:03}" for n in range(20, 29)]
    for user in many[20:50]:
        await calendar.users.set_mailbox(user.guid, MailboxState.NONE)
    found = (await call(browser, "GET", "/users", params={"state": "unresolved", "limit": 9})).json()
    assert found["items"] == []
    assert found["next"]


async def test_the_file_has_everybody_who_matches_and_no_formula(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    answer = await browser.get("/users.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    by_name = {row["user name"]: row for row in rows}
    assert by_name.keys() == {"anna", "bert", "carla"}
    assert by_name["carla"]["name"] == '\'=HYPERLINK("http://evil")'
    assert by_name["bert"]["mailbox"] == "'+bert@example.com"
    assert by_name["bert"]["name"] == "Äbler, Bert"
    assert (await calendar.audit.latest(1))[0].what == "downloaded the users"
    api = await call(browser, "GET", "/users.csv", params={"state": "without_mailbox"})
    assert [row["user name"] for row in csv.DictReader(io.StringIO(api.text))] == ["carla"]
    api = await call(browser, "GET", "/users.csv", params={"query": "bauer"})
    assert [row["user name"] for row in csv.DictReader(io.StringIO(api.text))] == ["anna"]


@pytest.mark.parametrize(
    ("path", "params"),
    [("/users", {"state": "x"}), ("/users", {"limit": "0"}), ("/users.csv", {"state": "x"})],
)
async def test_the_api_refuses_what_does_not_exist(
    browser: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    refused = await call(browser, "GET", path, params=params)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] in params
