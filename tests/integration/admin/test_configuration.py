"""The configuration over the API and by its forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dev.host import FunctionsHost
from tests.integration.admin.conftest import API, empty_storage, serve
from tests.ports import find_ports

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PBX = {"address": "pbx.example.com", "name": "master", "password": "secret of the app"}
RULES = {
    "language": "de",
    "timezone": "Europe/Berlin",
    "show_subject": "true",
    "until_unit": "ms",
    **{f"mapping.{name}": "busy" for name in ("busy", "tentative", "tentative_exception")},
    **{f"mapping.{name}": "away" for name in ("out_of_office", "working_elsewhere", "no_data")},
}

EXCHANGE = {
    "sync_type": "on-premises",
    "user": "calendar@example.com",
    "server": "internal",
    "name_resolving": "candidate users",
    "cloud": "worldwide",
    "supported_accounts": "my organization only",
    "detection": "poll",
    "poll_minutes": "20",
    "max_subscriptions": "100",
    "channel_binding": "auto",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def host(azurite: str) -> AsyncIterator[FunctionsHost]:
    async with serve(azurite, find_ports(), CALENDAR_ADMIN_SIGN_IN="local") as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def browser(azurite: str, host: FunctionsHost) -> AsyncIterator[httpx.AsyncClient]:
    """In local mode, with nothing configured."""
    await empty_storage(azurite)
    async with httpx.AsyncClient(base_url=host.url, timeout=60) as browser:
        browser.headers["X-CSRF-Token"] = (await browser.get(f"{API}/me")).json()["csrf_token"]
        yield browser


async def put(browser: httpx.AsyncClient, section: str, values: Any, **headers: str) -> httpx.Response:
    """Save a section in place of the one that is there, unless If-Match is given."""
    present = (await browser.get(f"{API}/configuration/{section}")).headers["etag"]
    return await browser.put(
        f"{API}/configuration/{section}", json=values, headers={"If-Match": present, **headers}
    )


def hidden(page: str, name: str) -> str:
    return str(re.findall(rf'name="{name}" value="([^"]*)"', page)[0])


async def submit(browser: httpx.AsyncClient, section: str, form: dict[str, str]) -> httpx.Response:
    """Open the form, fill it in and send it."""
    page = (await browser.get(f"/configuration/{section}")).text
    form = {"version": hidden(page, "version")} | form
    return await browser.post(f"/configuration/{section}", data=form)


async def test_a_section_is_saved_and_its_secrets_never_come_back(browser: httpx.AsyncClient) -> None:
    saved = await put(browser, "pbx", PBX)
    assert saved.status_code == 200, saved.text
    read = await browser.get(f"{API}/configuration/pbx")
    assert read.headers["etag"] == saved.headers["etag"]
    assert read.json()["values"]["address"] == "pbx.example.com"
    assert list(read.json()["secrets_set"]) == ["password"]
    assert read.json()["saved_by"] == "local administrator"
    assert read.json()["missing"] == []
    page = await browser.get("/configuration/pbx")
    for text in (saved.text, read.text, page.text):
        assert "secret of the app" not in text
    done = (await browser.get(f"{API}/actions")).json()["items"][0]
    assert done["what"] == "saved the configuration"
    assert done["about"] == "pbx: address, name, password"


async def test_a_secret_stays_until_it_is_replaced_or_deleted(browser: httpx.AsyncClient) -> None:
    await put(browser, "pbx", PBX)
    for kept in ({}, {"password": ""}):
        values = {"address": "pbx.example.com", "name": "master"} | kept
        assert (await put(browser, "pbx", values)).json()["missing"] == []
    deleted = await put(browser, "pbx", PBX | {"password": None})
    assert deleted.json()["missing"] == ["pbx.password"]


async def test_a_change_names_the_version_that_it_changes(browser: httpx.AsyncClient) -> None:
    url = f"{API}/configuration/pbx"
    assert (await browser.put(url, json=PBX)).status_code == 428
    first = (await browser.get(url)).headers["etag"]
    assert (await browser.put(url, json=PBX, headers={"If-Match": first})).status_code == 200
    for stale in (first, '"x"', "x", "*", '"~"'):
        answer = await browser.put(url, json=PBX | {"name": "other"}, headers={"If-Match": stale})
        assert answer.status_code == 412, stale
    assert (await browser.get(url)).json()["values"]["name"] == "master"


async def test_every_fault_is_named_and_nothing_is_saved(browser: httpx.AsyncClient) -> None:
    answer = await put(browser, "presence", {"language": "xx", "timezone": "Nowhere"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == ["presence.language", "presence.timezone"]
    assert (await browser.get(f"{API}/configuration/presence")).json()["saved_at"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object_is_refused(browser: httpx.AsyncClient, body: bytes) -> None:
    url = f"{API}/configuration/pbx"
    headers = {"If-Match": '""', "Content-Type": "application/json"}
    answer = await browser.put(url, content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_form_saves_what_it_asks_for_and_keeps_the_rest(browser: httpx.AsyncClient) -> None:
    until = "2026-11-22T15:00:00Z"
    assert (await put(browser, "exchange", {"debug_until": until})).status_code == 200
    answer = await submit(browser, "exchange", EXCHANGE | {"password": "p"})
    assert (answer.status_code, answer.headers.get("location")) == (
        303,
        "/configuration/exchange?saved=true",
    ), answer.text
    state = (await browser.get(f"{API}/configuration/exchange")).json()
    assert state["values"]["debug_until"] == until
    assert (state["values"]["poll_minutes"], state["values"]["detection"]) == (20, "poll")
    assert "Saved." in (await browser.get(answer.headers["location"])).text


async def test_a_sync_type_leads_to_disabled_and_nowhere_else(browser: httpx.AsyncClient) -> None:
    await put(browser, "exchange", {"sync_type": "on-premises", "user": "a@example.com", "password": "p"})
    page = (await browser.get("/configuration/exchange")).text
    assert 'value="disabled"' in page
    assert 'value="cloud-app-only"' not in page
    answer = await put(browser, "exchange", {"sync_type": "cloud-app-only"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "exchange.sync_type"


async def test_a_fault_stands_beside_its_field_with_what_was_entered(browser: httpx.AsyncClient) -> None:
    answer = await submit(browser, "pbx", {"address": "http://x/", "name": "<b>", "app": "9", "scope": "all"})
    assert answer.status_code == 422
    for field in ("address", "app"):
        assert f'id="{field}-error"' in answer.text
        assert f'<a href="#{field}">' in answer.text
    assert 'value="http://x/"' in answer.text
    assert "&lt;b&gt;" in answer.text
    assert "<b>" not in answer.text
    assert (await browser.get(f"{API}/configuration/pbx")).json()["saved_at"] is None


async def test_two_administrators_do_not_overwrite_each_other(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/configuration/pbx")).text
    await put(browser, "pbx", PBX)
    form = {"address": "other.example.com", "name": "other", "app": "calendarsync", "scope": "all"}
    refused = await browser.post("/configuration/pbx", data=form | {"version": hidden(page, "version")})
    assert refused.status_code == 409
    assert "local administrator saved this part meanwhile" in refused.text
    assert 'value="other.example.com"' in refused.text
    assert "not acceptable any more" not in refused.text
    assert (await browser.get(f"{API}/configuration/pbx")).json()["values"]["name"] == "master"
    form["version"] = hidden(refused.text, "version")
    elsewhere = await browser.post("/configuration/pbx", data=form)
    assert elsewhere.status_code == 422
    assert 'id="password-error"' in elsewhere.text
    again = await browser.post("/configuration/pbx", data=form | {"password": "another"})
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("change", "status"), [({"poll_minutes": "4"}, 422), ({"version": ""}, 409)], ids=["refused", "conflict"]
)
async def test_a_secret_that_was_not_saved_is_asked_for_until_it_is_there(
    browser: httpx.AsyncClient, change: dict[str, str], status: int
) -> None:
    await put(browser, "exchange", {"client_secret": "stored"})
    page = (await browser.get("/configuration/exchange")).text
    assert "Enter it again" not in page
    form = EXCHANGE | {"version": hidden(page, "version"), "client_secret.delete": "true"} | change
    refused = await browser.post("/configuration/exchange", data=form | {"password": "typed"})
    assert refused.status_code == status
    assert "typed" not in refused.text
    assert 'aria-describedby="password-error password-help"' in refused.text
    assert 'id="client_secret-error"' not in refused.text
    assert 'name="client_secret.delete" value="true" checked' in refused.text
    form["password.dropped"] = hidden(refused.text, "password.dropped")
    again = await browser.post("/configuration/exchange", data=form)
    assert again.status_code == status
    assert "Was not kept, as nothing was saved. Enter it again." in again.text


async def test_whether_subjects_show_is_decided_the_first_time(browser: httpx.AsyncClient) -> None:
    assert "Please choose" in (await browser.get("/configuration/presence")).text
    undecided = await submit(browser, "presence", RULES | {"show_subject": ""})
    assert undecided.status_code == 422
    assert 'id="show_subject-error"' in undecided.text
    assert (await submit(browser, "presence", RULES | {"show_subject": "false"})).status_code == 303
    assert "Please choose" not in (await browser.get("/configuration/presence")).text
    values = (await browser.get(f"{API}/configuration/presence")).json()["values"]
    assert values["show_subject"] is False
    assert values["mapping"]["no_data"] == "away"


async def test_a_sample_day_shows_what_the_rules_would_do(browser: httpx.AsyncClient) -> None:
    async def preview(**changes: str) -> str:
        answer = await browser.post("/configuration/presence/preview", data=RULES | changes)
        assert answer.status_code == 200
        return answer.text

    shown = await preview()
    assert "Frei" in shown
    assert "Project meeting" in shown.split("08:00")[1].split("09:05")[0]
    assert "Project meeting" not in re.sub(r"·[^<]*", "", await preview(show_subject="false"))
    assert "Dentist" not in re.sub(r"·[^<]*", "", shown)
    assert "as soon as" in await preview(timezone="Nowhere")
    assert (await browser.get(f"{API}/actions")).json()["items"] == []


async def test_the_api_shows_the_same_sample_day(browser: httpx.AsyncClient) -> None:
    url = f"{API}/configuration/presence/preview"
    rules = {"language": "de", "timezone": "Europe/Berlin", "mapping": {"out_of_office": "dnd"}}
    answer = await browser.post(url, json=rules)
    assert answer.status_code == 200, answer.text
    moments = answer.json()["moments"]
    form = RULES | {
        "mapping.tentative": "ignore",
        "mapping.out_of_office": "dnd",
        "mapping.no_data": "ignore",
    }
    form |= {"mapping.working_elsewhere": "available"}
    page = unescape((await browser.post("/configuration/presence/preview", data=form)).text)
    assert re.findall(r'class="mono">(.*?)</span>', page) == [each["note"] for each in moments]
    assert [(each["at"], each["activity"]) for each in moments] == [
        ("08:00", "available"),
        ("09:05", "busy"),
        ("11:05", "available"),
        ("13:05", "dnd"),
        ("15:05", "available"),
    ]
    assert "Dentist" not in "".join(each["note"] for each in moments)
    refused = await browser.post(url, json={"timezone": "Nowhere", "language": "xx"})
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == ["presence.language", "presence.timezone"]
    assert (await browser.get(f"{API}/configuration/presence")).json()["saved_at"] is None
    assert (await browser.get(f"{API}/actions")).json()["items"] == []


async def test_plain_http_is_warned_of_on_every_page(browser: httpx.AsyncClient) -> None:
    await put(browser, "exchange", {"allow_plain_http": True})
    async with httpx.AsyncClient(base_url=browser.base_url) as other:
        for _ in range(60):
            if "Plain HTTP" in (text := (await other.get("/actions")).text):
                break
            await asyncio.sleep(0.1)
    assert "Plain HTTP to Exchange is allowed" in text
