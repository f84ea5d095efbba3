"""Test connection as administrators and scripts begin and follow it, against the simulators."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dev.exchange import ExchangeSimulator
from dev.host import FunctionsHost
from dev.pbx import PbxSimulator
from dev.pbx.switchboard import APIS
from functions.admin.app import create_app
from functions.services import Services
from tests.integration.admin.conftest import API, empty_storage, serve
from tests.ports import find_ports
from tests.storage import environment_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HOME = "http://localhost:7071"
ACCOUNT, ANNA = "calendar@example.com", "anna@example.com"
STEPS = [
    *(f"exchange.{name}" for name in ("discovery", "sign_in", "version", "mailbox", "reading")),
    *("exchange.subscription", "exchange.callback"),
    *(f"pbx.{name}" for name in ("login", "name", "apis", "user")),
]


@dataclass
class Office:
    """The page, and the systems that it tests."""

    browser: httpx.AsyncClient
    exchange: ExchangeSimulator
    pbx: PbxSimulator

    def pbx_section(self, **changes: Any) -> dict[str, Any]:
        switchboard = self.pbx.switchboard
        given = {"address": self.pbx.url, "name": switchboard.name, "password": switchboard.password}
        return given | {"certificate": self.pbx.ca_pem} | changes

    def exchange_section(self, **changes: Any) -> dict[str, Any]:
        given = {"sync_type": "on-premises", "user": ACCOUNT, "password": self.exchange.password}
        given |= {"url": self.exchange.ews_url, "certificate": self.exchange.ca_pem.decode()}
        return given | changes

    async def save(self, name: str, values: dict[str, Any]) -> None:
        url = f"{API}/configuration/{name}"
        etag = (await self.browser.get(url)).headers["etag"]
        answer = await self.browser.put(url, json=values, headers={"If-Match": etag})
        assert answer.status_code == 200, answer.text

    async def check(self, **wish: Any) -> dict[str, Any]:
        """Begin a test over the API and wait for its end."""
        begun = await self.browser.post(f"{API}/checks", json=wish)
        assert begun.status_code == 202, begun.text
        assert begun.headers["location"] == f"{API}/checks/{begun.json()['id']}"
        return await self.await_end(begun.headers["location"])

    async def await_end(self, location: str) -> dict[str, Any]:
        for _ in range(300):
            state: dict[str, Any] = (await self.browser.get(location)).json()
            if state["done"]:
                return state
            await asyncio.sleep(0.1)
        raise AssertionError("it never ended")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def host(azurite: str) -> AsyncIterator[FunctionsHost]:
    async with serve(azurite, find_ports(), CALENDAR_ADMIN_SIGN_IN="local") as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def office(azurite: str, host: FunctionsHost) -> AsyncIterator[Office]:
    """Nothing is configured."""
    await empty_storage(azurite)
    users = [{"h323": "anna", "cn": "Anna", "emails": [{"email": ANNA}]}]
    async with (
        ExchangeSimulator(
            user=ACCOUNT, seed=[{"address": ACCOUNT}, {"address": ANNA}], minute=0.5
        ) as exchange,
        PbxSimulator(users=users) as pbx,
        httpx.AsyncClient(base_url=host.url, timeout=60) as browser,
    ):
        browser.headers["X-CSRF-Token"] = (await browser.get(f"{API}/me")).json()["csrf_token"]
        yield Office(browser, exchange, pbx)


def outcomes(state: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in state["steps"]}


def failure(state: dict[str, Any]) -> dict[str, Any]:
    """The one step that failed; it says what to do."""
    [step] = [step for step in state["steps"] if step["outcome"] == "failed"]
    assert step["text"]
    assert step["remedy"]
    assert not state["passed"]
    return dict(step)


async def test_everything_passes_with_saved_settings(office: Office) -> None:
    await office.save("pbx", office.pbx_section())
    await office.save("exchange", office.exchange_section())
    state = await office.check(mailbox=ANNA)
    assert outcomes(state) == dict.fromkeys(STEPS, "passed"), state
    assert state["passed"]
    [done] = [
        each
        for each in (await office.browser.get(f"{API}/actions")).json()["items"]
        if each["what"] == "tested the connection"
    ]
    assert done["about"] == f"exchange (saved settings), pbx (saved settings); mailbox {ANNA}"


async def test_unsaved_settings_are_tried_with_the_saved_secret_and_not_saved(office: Office) -> None:
    await office.save("pbx", office.pbx_section(name="another"))
    wrong = await office.check(systems=["pbx"])
    assert failure(wrong)["name"] == "pbx.name"
    values = office.pbx_section()
    for kept in ({}, {"password": ""}):
        state = await office.check(
            systems=["pbx"], pbx={name: values[name] for name in values if name != "password"} | kept
        )
        assert state["passed"], state
    assert failure(await office.check(systems=["pbx"], pbx=values | {"password": None}))["text"] == (
        "Not filled in: pbx.password."
    )
    saved = (await office.browser.get(f"{API}/configuration/pbx")).json()
    assert saved["values"]["name"] == "another"
    assert saved["missing"] == []


@pytest.mark.parametrize(
    ("system", "changes", "broken"),
    [
        ("pbx", {"password": "wrong"}, "pbx.login"),
        ("pbx", {"address": "127.0.0.1:9"}, "pbx.login"),
        ("pbx", {"name": "another"}, "pbx.name"),
        ("exchange", {"password": "wrong"}, "exchange.sign_in"),
        ("exchange", {"url": "127.0.0.1:9"}, "exchange.sign_in"),
        ("exchange", {"url": "", "user": "calendar@nowhere.invalid"}, "exchange.discovery"),
        ("exchange", {"sync_type": "disabled"}, "exchange.discovery"),
        ("exchange", {"certificate": ""}, "exchange.sign_in"),
    ],
    ids=str,
)
async def test_a_wrong_setting_shows_at_its_step(
    office: Office, system: str, changes: dict[str, Any], broken: str
) -> None:
    values = office.pbx_section() if system == "pbx" else office.exchange_section()
    state = await office.check(systems=[system], **{system: values | changes})
    assert failure(state)["name"] == broken
    after = [step for step in STEPS if step.startswith(system)]
    for name in after[after.index(broken) + 1 :]:
        assert outcomes(state)[name] == "not tried"


async def test_a_missing_mailbox_shows_at_its_step(office: Office) -> None:
    state = await office.check(
        systems=["exchange"], exchange=office.exchange_section(), mailbox="nobody@example.com"
    )
    assert failure(state)["name"] == "exchange.mailbox"


async def test_a_missing_right_of_the_app_shows_at_its_step(office: Office) -> None:
    office.pbx.switchboard.apis = APIS - {"PbxApi"}
    step = failure(await office.check(systems=["pbx"], pbx=office.pbx_section()))
    assert step["text"] == "Not granted: PbxApi."


async def test_a_search_for_exchange_shows_what_it_tried(office: Office) -> None:
    values = office.exchange_section(url="", user="calendar@nowhere.invalid")
    step = failure(await office.check(systems=["exchange"], exchange=values))
    assert any("autodiscover.nowhere.invalid" in line for line in step["details"]), step


async def test_nothing_is_tried_where_a_field_is_wrong(office: Office) -> None:
    wish = {"pbx": {"app": "9"}, "exchange": {"user": "nobody"}, "mailbox": "x y"}
    answer = await office.browser.post(f"{API}/checks", json=wish)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "Nothing was tested."
    assert {each["field"] for each in answer.json()["errors"]} == {"pbx.app", "exchange.user", "mailbox"}
    bodies: list[Any] = [{"systems": []}, {"systems": ["fax"]}, {"other": 1}, []]
    for body in bodies:
        assert (await office.browser.post(f"{API}/checks", json=body)).status_code == 422


@pytest.mark.parametrize("identity", ["0" * 32, "x", "0" * 33, "%27"])
async def test_an_unknown_test_is_not_found(office: Office, identity: str) -> None:
    for path in (f"{API}/checks/{identity}", f"/configuration/test/{identity}"):
        assert (await office.browser.get(path)).status_code == 404
    assert (await office.browser.get(f"/configuration/test/{identity}/steps")).status_code == 404


async def test_no_answer_holds_a_secret(office: Office) -> None:
    values = office.pbx_section(password="kept-to-ourselves")
    begun = await office.browser.post(f"{API}/checks", json={"systems": ["pbx"], "pbx": values})
    assert "kept-to-ourselves" not in begun.text
    state = await office.await_end(begun.headers["location"])
    assert "kept-to-ourselves" not in repr(state)
    page = await office.browser.get(f"/configuration/test/{state['id']}")
    assert "kept-to-ourselves" not in page.text
    actions = await office.browser.get(f"{API}/actions")
    assert "kept-to-ourselves" not in actions.text
    assert "unsaved settings" in actions.text


async def test_the_form_is_tried_without_being_saved_and_leads_to_a_page(office: Office) -> None:
    await office.save("pbx", office.pbx_section())
    form = {"address": office.pbx.url, "name": "another", "app": "calendarsync", "scope": "all"}
    form |= {"certificate": office.pbx.ca_pem, "password": ""}
    answer = await office.browser.post("/configuration/pbx/test", data=form)
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    state = await office.await_end(location.replace("/configuration/test", f"{API}/checks"))
    assert failure(state)["name"] == "pbx.name"
    page = unescape((await office.browser.get(location)).text)
    assert re.search(r'data-step="pbx.name" data-outcome="failed"', page)
    assert failure(state)["text"] in page
    assert failure(state)["remedy"] in page
    assert "Failed" in page
    assert "hx-trigger" not in page, "what is over is not asked for again"
    assert (await office.browser.get(f"{API}/configuration/pbx")).json()["values"]["name"] == "master"


async def test_a_wrong_field_of_the_form_is_named_with_and_without_script(office: Office) -> None:
    form = {"address": "http://x/", "app": "9", "scope": "all"}
    for in_page in (False, True):
        headers = {"HX-Request": "true"} if in_page else {}
        answer = await office.browser.post("/configuration/pbx/test", data=form, headers=headers)
        assert answer.status_code == 422
        assert "Nothing was tested." in answer.text
        assert "App object" in answer.text
        assert ("<!doctype" in answer.text) is not in_page


async def test_a_page_that_shows_the_steps_gets_nothing_until_they_change(azurite: str) -> None:
    administration = replace(environment_of(azurite).administration, local=True)
    environment = replace(environment_of(azurite), callback_url=HOME, administration=administration)
    calendar = Services(environment)
    await calendar.storage.create()
    # Nobody works off this queue: the test stands where it is.
    calendar.queues.check = do_nothing  # type: ignore[method-assign, assignment]
    transport = httpx.ASGITransport(create_app(calendar))
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as browser:
        token = {"X-CSRF-Token": (await browser.get(f"{API}/me")).json()["csrf_token"]}
        begun = await browser.post("/configuration/test", data={"systems": "pbx"}, headers=token)
        page = (await browser.get(begun.headers["location"])).text
        assert "0 of 4 steps" in page
        assert "<noscript>" in page
        [steps] = re.findall(r'hx-get="([^"]+)"', page)
        assert (await browser.get(steps)).status_code == 204
        await calendar.checker().give_up(begun.headers["location"].rpartition("/")[2])
        changed = await browser.get(steps)
        assert changed.status_code == 200
        assert "Not tried" in changed.text
        assert "hx-get" not in changed.text, "what is over is not asked for again"
    await calendar.close()


async def do_nothing(_: str) -> None:
    """In place of asking."""
