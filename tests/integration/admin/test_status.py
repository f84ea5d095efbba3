"""The first page, the part of it that changes, and the API behind both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta

import httpx
import pytest

from functions.services import Services
from shared.metrics import Tally
from shared.state.storage import Storage
from shared.sync.interfaces import Census, Heartbeat, Progress, Trouble
from tests.integration.admin.pages import call, configure, now, open_browser, open_services, press

pytestmark = pytest.mark.integration


@pytest.fixture
async def calendar(storage: Storage, azurite: str) -> AsyncIterator[Services]:
    async with open_services(azurite) as calendar:
        yield calendar


@pytest.fixture
async def browser(calendar: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with open_browser(calendar) as browser:
        yield browser


async def run_well(calendar: Services) -> None:
    """All timers have run, and everybody was counted."""
    for name in ("tick", "midnight", "upkeep", "directory"):
        await calendar.health.beat(Heartbeat(name, now(), 0.5, ""))
    census = Census(
        now(),
        total=1234,
        with_mailbox=1200,
        without_mailbox=22,
        unresolved=2,
        excluded=10,
        subscribed=1199,
        oldest_sign=now() - timedelta(minutes=7),
        newest_sign=now(),
    )
    await calendar.health.set_census(census)


async def test_a_new_installation_is_led_to_its_first_presence(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    text = (await browser.get("/")).text
    places = [
        text.index(f'<a href="/{path}">{title}')
        for path, title in (
            ("configuration/pbx", "Name the PBX"),
            ("configuration/exchange", "Name Exchange"),
            ("configuration/presence", "Decide"),
            ("users", "Watch"),
        )
    ]
    assert places == sorted(places)
    assert "done</span>" not in text
    assert "Everything works" not in text
    assert "have not run" not in text
    assert "Read everybody again" not in text


async def test_what_is_filled_in_is_marked_and_the_steps_go_when_all_is(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(calendar, exchange={"sync_type": "disabled"})
    assert (await browser.get("/")).text.count("done</span>") == 2
    await configure(calendar)
    text = (await browser.get("/")).text
    assert "Set it up" not in text
    assert "Read everybody again" in text


async def test_a_service_with_users_that_loses_a_setting_warns_instead(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await run_well(calendar)
    text = (await browser.get("/")).text
    assert "Set it up" not in text
    assert "Nothing is synchronised before these settings are filled in: pbx.address" in text
    assert 'href="/configuration/pbx">PBX configuration</a>' in text


async def test_all_is_well_and_the_numbers_lead_to_their_users(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(calendar)
    await run_well(calendar)
    text = (await browser.get("/")).text
    assert "Everything works." in text
    for number, link in (
        ("1,234", "/users"),
        ("1,200", "/users?state=with_mailbox"),
        ("22", "/users?state=without_mailbox"),
        ("0", "/users?state=failing"),
        ("10", "/users?state=excluded"),
    ):
        assert f'href="{link}"><strong>{number}</strong>' in text
    assert "1,199" in text
    assert "7 min ago" in text


async def test_what_is_wrong_comes_first_and_says_where_to_go(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(
        calendar,
        exchange={
            "sync_type": "cloud-app-only",
            "url": "",
            "password": "",
            "client_id": "5f0f2f51-3c9d-4a3f-9a41-6f6b5e4a3c2d",
            "tenant_id": "example.com",
            "client_secret": "s",
            "secret_expires_on": str(now().date() + timedelta(days=2)),
        },
    )
    await run_well(calendar)
    trouble = Trouble("Unreachable", "The <PBX> does not answer.", now(), 2, now())
    await calendar.health.set_trouble("pbx", trouble)
    text = (await browser.get("/")).text
    first, second = text.index("The &lt;PBX&gt; does not answer."), text.index("in 2 days")
    assert first < second < text.index("<h2>Users</h2>")
    assert ">Unreachable</span>" in text
    told = (await call(browser, "GET", "/status")).json()
    assert [each["code"] for each in told["warnings"]][:2] == ["pbx_unavailable", "secret_expires"]
    assert date.fromisoformat(told["secret_expires_on"]) == now().date() + timedelta(days=2)


async def test_settings_that_this_version_does_not_take_are_named_and_nothing_is_said_to_be_unsaved(
    calendar: Services, browser: httpx.AsyncClient, storage: Storage
) -> None:
    await configure(calendar)
    stored = await storage.table("config").get("config", "exchange")
    assert stored is not None
    values = json.dumps(json.loads(stored["values"]) | {"user": "no address"})
    await storage.table("config").merge({"PartitionKey": "config", "RowKey": "exchange", "values": values})
    for answer in (await browser.get("/"), await call(browser, "GET", "/status")):
        assert answer.status_code == 503
        assert "exchange.user" in answer.text
        assert "Nothing was saved" not in answer.text
    page = (await browser.get("/configuration/exchange")).text
    assert "is not a complete e-mail address" in page


async def test_the_part_that_changes_is_a_part_alone_and_prolongs_no_session(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(calendar)
    await run_well(calendar)
    part = await browser.get("/status", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "1,234" in part.text
    assert "aria-live" not in part.text
    assert 'role="status"' not in part.text
    assert "set-cookie" not in part.headers
    page = (await browser.get("/")).text
    assert 'hx-get="/status" hx-trigger="refresh"' in page


async def test_the_day_is_counted_by_the_hour(calendar: Services, browser: httpx.AsyncClient) -> None:
    counts = Counter(notifications=5, reads=4, presences=3, errors_user=1, errors_pbx=1, ticks=9)
    await calendar.counters.put(now(), "a", Tally(counts))
    await calendar.counters.put(now() - timedelta(hours=3), "b", Tally(Counter(reads=7)))
    told = (await call(browser, "GET", "/status")).json()["day"]
    assert len(told) == 24
    last = {name: value for name, value in told[-1].items() if name != "begin"}
    assert last == {"notifications": 5, "reads": 4, "presences": 3, "errors": 2}
    assert told[-4]["reads"] == 7
    await configure(calendar)
    assert "Calendars read: 11, at most 7 an hour" in (await browser.get("/")).text


async def test_the_api_tells_what_the_page_shows(calendar: Services, browser: httpx.AsyncClient) -> None:
    await configure(calendar)
    await run_well(calendar)
    midnight = Progress("2026-11-23", 5, 400, now() - timedelta(minutes=2), None)
    await calendar.health.set_progress("midnight", midnight)
    await calendar.queues.read(["a" * 32], "test")
    assert "wait to be read" not in (await browser.get("/")).text
    told = (await call(browser, "GET", "/status")).json()
    assert told["users"]["total"] == 1234
    assert told["missing"] == []
    assert (told["midnight"]["done"], told["midnight"]["parts"]) == (5, 16)
    assert {each["name"]: each["waiting"] for each in told["queues"]}["sync"] == 1
    assert [each["overdue"] for each in told["timers"]] == [False] * 4
    assert told["applying"] is None
    assert "5 of 16 parts" in (await browser.get("/")).text
    await calendar.health.set_progress("midnight", replace(midnight, done=16, ended=now()))
    assert "the last one read" not in (await browser.get("/")).text
    await calendar.health.set_last_read("midnight", now() + timedelta(minutes=1))
    assert "400 users asked for, the last one read 3 min after the beginning" in (await browser.get("/")).text


async def test_how_much_waits_to_be_read_is_shown(calendar: Services, browser: httpx.AsyncClient) -> None:
    await configure(calendar)
    await calendar.queues.read([f"{number:032x}" for number in range(41)], "test")
    assert "Calendars wait to be read: 3 messages, with up to 20 users each." in (await browser.get("/")).text


async def test_everybody_is_read_on_demand_and_how_far_that_came_is_shown(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(calendar)
    await calendar.applier.run()
    answer = await press(browser, "/", "/read-everybody")
    assert answer.status_code == 303
    text = (await browser.get(answer.headers["location"])).text
    assert "Everybody&#39;s calendar is being read" in text
    assert "0 of 16 parts of the users are done" in text
    applying = (await call(browser, "GET", "/status")).json()["applying"]
    assert applying == {"done": 0, "parts": 16, "reading": True}
    await calendar.applier.run()
    assert (await call(browser, "GET", "/status")).json()["applying"] is None
    assert (await call(browser, "POST", "/read-everybody")).status_code == 202
    assert (await call(browser, "GET", "/status")).json()["applying"]["reading"]
    assert [each.what for each in await calendar.audit.latest(5)] == ["had all calendars read"] * 2


async def test_nobody_is_read_without_a_configuration_or_by_another_site(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    refused = await call(browser, "POST", "/read-everybody")
    assert refused.status_code == 409
    assert "pbx.address" in refused.json()["detail"]
    await configure(calendar)
    assert (await browser.post("/read-everybody")).status_code == 403
    assert await calendar.storage.waiting("configure") == 0
    assert await calendar.audit.latest(5) == []
