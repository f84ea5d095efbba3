"""The record of what is said to Exchange: on for a time, shown, taken away, deleted; and what nobody sees."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest

from functions.admin.pages.debugging import lay_out
from functions.services import Services
from shared.ews.recording import Record
from shared.settings import ExchangeSettings
from shared.state.storage import Storage
from shared.sync.configuring import Stored
from tests.integration.admin.pages import call, configure, now, open_browser, open_services, press

pytestmark = pytest.mark.integration

ANSWER = (
    '<s:Body xmlns:s="s" xmlns:t="t"><t:CalendarItem><t:Subject>Salary &amp; Bob</t:Subject>'
    "<t:Location>Room 7</t:Location></t:CalendarItem></s:Body>"
)
RECORD = Record(
    now() - timedelta(minutes=5),
    0.25,
    "https://mail.example.com/EWS/Exchange.asmx",
    {"soapaction": '"http://schemas.microsoft.com/exchange/services/2006/messages/FindItem"'},
    "<m:FindItem xmlns:m='m'/>",
    200,
    {"request-id": "abc"},
    ANSWER,
    "",
)


@pytest.fixture
async def calendar(storage: Storage, azurite: str) -> AsyncIterator[Services]:
    async with open_services(azurite) as calendar:
        await configure(calendar)
        yield calendar


@pytest.fixture
async def browser(calendar: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with open_browser(calendar) as browser:
        yield browser


async def settings_of(calendar: Services) -> ExchangeSettings:
    return (await calendar.config.load()).exchange


@pytest.mark.parametrize("minutes", ["15", "60", "480"])
async def test_it_is_on_for_the_time_that_was_chosen(
    calendar: Services, browser: httpx.AsyncClient, minutes: str
) -> None:
    began = now().replace(microsecond=0)
    answer = await press(browser, "/debugging", "/debugging/start", minutes=minutes)
    assert answer.status_code == 303
    settings = await settings_of(calendar)
    lasts = datetime.fromisoformat(settings.debug_until) - began
    assert timedelta(0) <= lasts - timedelta(minutes=int(minutes)) < timedelta(seconds=30)
    assert not settings.debug_subjects
    text = (await browser.get(answer.headers["location"])).text
    assert "is recorded from now on" in text
    assert "without subjects" in text
    assert "Stop recording" in text
    [action] = await calendar.audit.latest(5)
    assert action.what == "switched the recording of Exchange on"
    assert action.about == f"{minutes} minutes, without subjects"


async def test_nothing_else_of_the_configuration_changes(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    before = await settings_of(calendar)
    switched = await call(browser, "PUT", "/recording", json={"minutes": 15, "subjects": True})
    assert switched.json()["subjects"] is True
    after = await settings_of(calendar)
    assert after.debug_subjects
    assert after.password.get_secret_value() == "exchange-secret"
    assert (await call(browser, "DELETE", "/recording")).status_code == 204
    assert await settings_of(calendar) == before
    assert (await call(browser, "GET", "/recording")).json() == {
        "until": None,
        "subjects": False,
        "subjects_allowed": True,
    }
    what = [each.what.rpartition(" ")[2] for each in await calendar.audit.latest(5)]
    assert what == ["off", "on"]


@pytest.mark.parametrize(("saves", "status"), [(1, 200), (99, 409)])
async def test_what_somebody_saves_at_the_same_moment_stays(
    calendar: Services,
    browser: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    saves: int,
    status: int,
) -> None:
    load = calendar.config.load_section
    others = iter(range(saves))

    async def load_and_be_overtaken(name: str) -> Stored:
        stored = await load(name)
        if next(others, None) is not None:
            section = stored.section.model_copy(update={"poll_minutes": 33})
            await calendar.config.save(name, section, stored.etag, "somebody else", now())
        return stored

    monkeypatch.setattr(calendar.config, "load_section", load_and_be_overtaken)
    assert (await call(browser, "PUT", "/recording", json={"minutes": 15})).status_code == status
    settings = await settings_of(calendar)
    assert settings.poll_minutes == 33
    assert bool(settings.debug_until) is (status == 200)


async def test_it_is_off_when_its_time_is_over(calendar: Services, browser: httpx.AsyncClient) -> None:
    over = (now() - timedelta(seconds=1)).isoformat()
    await configure(calendar, exchange={"debug_until": over, "debug_subjects": True})
    assert (await call(browser, "GET", "/recording")).json()["until"] is None
    assert "Start recording" in (await browser.get("/debugging")).text


@pytest.mark.parametrize("minutes", [0, 481, "x"])
async def test_it_is_on_for_no_longer_than_a_working_day(
    calendar: Services, browser: httpx.AsyncClient, minutes: object
) -> None:
    refused = await call(browser, "PUT", "/recording", json={"minutes": minutes})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "minutes"
    pressed = await press(browser, "/debugging", "/debugging/start", minutes=str(minutes))
    assert pressed.status_code == 422
    assert (await settings_of(calendar)).debug_until == ""


async def test_subjects_that_show_to_nobody_are_recorded_for_nobody(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await calendar.recordings.add(RECORD)
    [heading] = await calendar.recordings.headings(5)
    paths = (f"/debugging/records/{heading.id}", "/debugging/records.jsonl")
    for path in paths:
        assert "Salary" in (await browser.get(path)).text
    await configure(calendar, presence={"show_subject": False})
    refused = await call(browser, "PUT", "/recording", json={"subjects": True})
    assert refused.status_code == 409
    assert 'name="subjects"' not in (await browser.get("/debugging")).text
    assert (
        await press(browser, "/debugging", "/debugging/start", minutes="15", subjects="true")
    ).status_code == 409
    assert (await settings_of(calendar)).debug_until == ""
    for path in (
        *paths,
        f"/api/admin/v1/recording/records/{heading.id}",
        "/api/admin/v1/recording/records.jsonl",
    ):
        text = (await browser.get(path)).text
        assert "CalendarItem" in text
        assert [word for word in ("Salary", "Bob", "Room 7") if word in text] == []


async def test_without_exchange_there_is_nothing_to_record(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    await configure(calendar, exchange={"sync_type": "disabled"})
    refused = await call(browser, "PUT", "/recording", json={})
    assert refused.status_code == 409
    assert await calendar.audit.latest(5) == []


async def test_records_are_listed_the_latest_first_in_pages(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    for minute in range(53):
        at = RECORD.at - timedelta(minutes=minute)
        await calendar.recordings.add(replace(RECORD, at=at, status=200 + minute))
    await calendar.recordings.add(replace(RECORD, at=now(), status=0, answer="", error="Timeout"))
    page = (await browser.get("/debugging")).text
    assert page.index("Timeout") < page.index(">200</span>") < page.index(">201</span>")
    assert "FindItem" in page
    assert ">249</span>" not in page
    more = re.search(r'href="([^"]+)" rel="next"', page)
    assert more is not None
    assert ">249</span>" in (await browser.get(more[1])).text
    first = (await call(browser, "GET", "/recording/records", params={"limit": 50})).json()
    rest = (await call(browser, "GET", "/recording/records", params={"after": first["next"]})).json()
    assert [each["status"] for each in first["items"] + rest["items"]] == [0, *range(200, 253)]
    assert rest["next"] is None
    assert (await browser.get("/debugging?after=x'y")).status_code == 400
    assert (await call(browser, "GET", "/recording/records", params={"after": "x"})).status_code == 400


async def test_a_record_is_shown_as_text(calendar: Services, browser: httpx.AsyncClient) -> None:
    await calendar.recordings.add(RECORD)
    page = (await browser.get("/debugging")).text
    link = re.search(r'href="(/debugging/records/\w+)"', page)
    assert link is not None
    text = (await browser.get(link[1])).text
    assert "  &lt;t:CalendarItem&gt;\n" in text
    assert "Salary &amp;amp; Bob" in text
    assert "request-id: abc" in text
    told = (await call(browser, "GET", link[1].replace("/debugging/", "/recording/"))).json()
    assert told["answer"] == ANSWER
    assert told["place"] == RECORD.place
    for identity in ("nobody", "20261122T1200000000070f3c5e6a"):
        assert (await browser.get(f"/debugging/records/{identity}")).status_code == 404
        assert (await call(browser, "GET", f"/recording/records/{identity}")).status_code == 404


async def test_all_records_are_taken_away_as_json_lines(
    calendar: Services, browser: httpx.AsyncClient
) -> None:
    records = [replace(RECORD, at=RECORD.at + timedelta(seconds=n), seconds=float(n)) for n in range(105)]
    for record in records:
        await calendar.recordings.add(record)
    answer = await browser.get("/debugging/records.jsonl")
    assert "attachment" in answer.headers["content-disposition"]
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["seconds"] for each in told] == [float(n) for n in range(105)]
    assert datetime.fromisoformat(told[0]["at"]) == RECORD.at
    assert (await calendar.audit.latest(1))[0].what == "downloaded the recording of Exchange"
    assert (await call(browser, "GET", "/recording/records.jsonl")).text == answer.text


async def test_records_are_deleted(calendar: Services, browser: httpx.AsyncClient) -> None:
    await calendar.recordings.add(RECORD)
    assert (await press(browser, "/debugging", "/debugging/delete")).status_code == 303
    assert await calendar.recordings.headings(5) == []
    assert "Nothing is recorded" in (await browser.get("/debugging")).text
    await calendar.recordings.add(RECORD)
    assert (await call(browser, "DELETE", "/recording/records")).status_code == 204
    assert await calendar.recordings.headings(5) == []
    assert [each.what for each in await calendar.audit.latest(5)] == ["deleted the recording of Exchange"] * 2


async def test_another_site_switches_nothing(calendar: Services, browser: httpx.AsyncClient) -> None:
    await calendar.recordings.add(RECORD)
    for path in ("start", "stop", "delete"):
        assert (await browser.post(f"/debugging/{path}", data={"minutes": "15"})).status_code == 403
    assert len(await calendar.recordings.headings(5)) == 1
    assert (await settings_of(calendar)).debug_until == ""


@pytest.mark.parametrize("text", ["[12 bytes that are no XML of Exchange]", "<a><b>cut[cut off]", ""])
def test_what_is_no_xml_is_shown_as_it_is(text: str) -> None:
    assert lay_out(text) == text
