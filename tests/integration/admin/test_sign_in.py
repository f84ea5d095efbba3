"""Administrators sign in at Entra ID, and nobody else gets anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from dev.entra.faults import Fault
from functions.admin.session import IDLE, LONGEST, REFRESH, Administrator, Session, Sessions
from tests.integration.admin.conftest import ADMINISTRATOR, API, VISITOR, Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

COOKIE = "calendar"


def cookie(running: Running, *, began: timedelta, seen: timedelta, keys: tuple[str, ...] = ()) -> str:
    """A session's cookie, so long after it began and after its last sign of life."""
    sessions = Sessions(keys or (running.session_key,))
    now = datetime.now(UTC)
    session = sessions.begin(Administrator("id", "anna@example.com"), now - began)
    sealed = Session(session.id, session.user, session.name, session.began, (now - seen).timestamp())
    return sessions.seal_session(sealed)


async def ask(running: Running, value: str, path: str = "/", **headers: str) -> httpx.Response:
    async with running.browser() as browser:
        return await browser.get(path, headers={"cookie": f"{COOKIE}={value}", **headers})


async def test_an_administrator_signs_in_and_gets_the_page_that_was_asked_for(running: Running) -> None:
    async with running.browser() as browser:
        refused = await browser.get("/actions?after=0a")
        assert refused.status_code == 303
        assert refused.headers["location"] == "/sign-in?next=/actions%3Fafter%3D0a"
        back = await running.sign_in(browser, path=refused.headers["location"])
        assert (back.status_code, back.headers["location"]) == (303, "/actions?after=0a")
        page = await browser.get("/")
        assert page.status_code == 200
        assert ADMINISTRATOR in page.text
        me = (await browser.get(f"{API}/me")).json()
        assert me["name"] == ADMINISTRATOR
        assert "signed in" in (await browser.get("/actions")).text


async def test_the_sign_in_is_bound_to_this_browser_and_proves_itself(running: Running) -> None:
    async with running.browser() as browser:
        begun = await browser.get("/sign-in")
        asked = {
            name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()
        }
    assert asked["code_challenge_method"] == "S256"
    assert (asked["response_type"], asked["response_mode"]) == ("code", "form_post")
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert "offline_access" not in asked["scope"]
    assert asked["redirect_uri"] == f"{running.url}/signed-in"


async def test_cookies_are_kept_from_scripts_and_other_sites(running: Running) -> None:
    async with running.browser() as browser:
        back = await running.sign_in(browser)
    set_by_answer = [header.lower() for header in back.headers.get_list("set-cookie")]
    assert len(set_by_answer) == 2
    for header in set_by_answer:
        assert "httponly" in header
        assert "samesite=lax" in header
        assert "path=/" in header
    flow = next(header for header in set_by_answer if header.startswith("calendar-sign-in="))
    assert "max-age=0" in flow


async def test_somebody_without_the_role_is_told_which_one_is_missing(running: Running) -> None:
    async with running.browser() as browser:
        answer = await running.sign_in(browser, VISITOR)
        assert answer.status_code == 403
        assert "Calendar.Admin" in answer.text
        assert VISITOR in answer.text
        assert not [h for h in answer.headers.get_list("set-cookie") if h.startswith(f"{COOKIE}=")]
        assert (await browser.get("/")).status_code == 303
    async with running.browser() as browser:
        await running.sign_in(browser)
        done = (await browser.get("/actions")).text
        assert "was refused: no administrator" in done
        assert VISITOR in done


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/a\r\nX: y"]
)
async def test_a_sign_in_never_leads_to_another_site(running: Running, target: str) -> None:
    async with running.browser() as browser:
        path = str(httpx.URL("/sign-in", params={"next": target}))
        back = await running.sign_in(browser, path=path)
        assert (back.status_code, back.headers["location"]) == (303, "/")


@pytest.mark.parametrize("damage", ["no flow", "other state", "no code", "refused", "not sealed"])
async def test_an_answer_that_is_not_for_this_sign_in_is_refused(running: Running, damage: str) -> None:
    async with running.browser() as browser:
        fields = await running.choose(browser, await browser.get("/sign-in"))
        if damage == "no flow":
            browser.cookies.clear()
        elif damage == "other state":
            fields["state"] = "x"
        elif damage == "no code":
            del fields["code"]
        elif damage == "refused":
            fields = {"state": fields["state"], "error": "access_denied"}
        if damage == "not sealed":
            answer = await browser.get("/signed-in", params=fields)
        else:
            answer = await running.post_back(browser, fields)
        assert answer.status_code in (400, 403)
        assert "You are not signed in" in answer.text
        assert (await browser.get("/")).status_code == 303


async def test_an_answer_is_worth_one_session(running: Running) -> None:
    async with running.browser() as browser:
        fields = await running.choose(browser, await browser.get("/sign-in"))
        flow = browser.cookies.get("calendar-sign-in")
        assert (await running.post_back(browser, fields)).status_code == 303
    async with running.browser(cookies={"calendar-sign-in": flow or ""}) as thief:
        answer = await running.post_back(thief, fields)
        assert answer.status_code == 403
        assert "AADSTS54005" in answer.text


async def test_an_entra_id_that_does_not_answer_is_said(running: Running) -> None:
    async with running.browser() as browser:
        fields = await running.choose(browser, await browser.get("/sign-in"))
        running.entra.faults.append(Fault("token", status=503, times=1))
        answer = await running.post_back(browser, fields)
        assert answer.status_code == 503
        assert "Entra ID does not answer" in answer.text


@pytest.mark.parametrize(
    ("began", "seen"),
    [(LONGEST, timedelta()), (IDLE, IDLE), (LONGEST + IDLE, LONGEST), (timedelta(days=400), timedelta())],
)
async def test_a_session_ends(running: Running, began: timedelta, seen: timedelta) -> None:
    answer = await ask(running, cookie(running, began=began, seen=seen))
    assert answer.status_code == 303


async def test_a_session_lasts_until_then(running: Running) -> None:
    value = cookie(running, began=LONGEST - timedelta(minutes=1), seen=IDLE - timedelta(minutes=1))
    assert (await ask(running, value)).status_code == 200


async def test_activity_prolongs_a_session_but_a_page_that_refreshes_itself_does_not(
    running: Running,
) -> None:
    value = cookie(running, began=LONGEST / 2, seen=REFRESH)
    assert "set-cookie" not in (await ask(running, value, "/", **{"HX-Request": "true"})).headers
    renewed = (await ask(running, value)).headers["set-cookie"]
    sessions = Sessions([running.session_key])
    session = sessions.open_session(renewed.split("=", 1)[1].split(";")[0], datetime.now(UTC))
    assert session is not None
    assert datetime.now(UTC).timestamp() - session.seen < 60
    young = cookie(running, began=timedelta(minutes=1), seen=timedelta(minutes=1))
    assert "set-cookie" not in (await ask(running, young)).headers


@pytest.mark.parametrize("place", [0, 20, 60, -2])
async def test_a_tampered_cookie_is_worth_nothing(running: Running, place: int) -> None:
    value = cookie(running, began=timedelta(), seen=timedelta())
    at = place % len(value)
    other = chr(ord(value[at]) ^ 4) if value[at].isalpha() else "x"
    assert (await ask(running, value[:at] + other + value[at + 1 :])).status_code == 303


async def test_a_cookie_of_another_key_is_worth_nothing(running: Running) -> None:
    from cryptography.fernet import Fernet

    keys = (Fernet.generate_key().decode(),)
    value = cookie(running, began=timedelta(), seen=timedelta(), keys=keys)
    assert (await ask(running, value)).status_code == 303


async def test_the_cookie_of_a_sign_in_under_way_is_no_session(running: Running) -> None:
    async with running.browser() as browser:
        await browser.get("/sign-in")
        value = browser.cookies.get("calendar-sign-in") or ""
    assert value
    assert (await ask(running, value)).status_code == 303


async def test_who_signs_out_is_out(running: Running) -> None:
    async with running.browser() as browser:
        await running.sign_in(browser)
        page = (await browser.get("/")).text
        token = re.findall(r'name="csrf_token" value="(\w+)"', page)[0]
        left = await browser.post("/sign-out", data={"csrf_token": token})
        assert (left.status_code, left.headers["location"]) == (303, "/signed-out")
        assert "signed out" in (await browser.get("/signed-out")).text
        assert (await browser.get("/")).status_code == 303


async def test_a_request_behind_the_scenes_sends_the_whole_page_to_the_sign_in(running: Running) -> None:
    async with running.browser() as browser:
        answer = await browser.get(
            "/actions", headers={"HX-Request": "true", "HX-Current-URL": f"{running.url}/actions?after=1"}
        )
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/sign-in?next=/actions%3Fafter%3D1"


@pytest.mark.parametrize(
    ("sender", "back"),
    [
        ("{url}/configuration/pbx?saved=true", "/sign-in?next=/configuration/pbx"),
        ("https://evil.example/configuration/pbx", "/sign-in"),
        ("{url}//evil.example", "/sign-in"),
        ("", "/sign-in"),
    ],
)
async def test_a_form_that_comes_too_late_is_told_so_and_led_back(
    running: Running, sender: str, back: str
) -> None:
    async with running.browser() as browser:
        answer = await browser.post("/configuration/pbx", headers={"Referer": sender.format(url=running.url)})
    assert answer.status_code == 401
    assert "Your session is over" in answer.text
    assert f'href="{back}"' in answer.text


async def csrf_of(browser: httpx.AsyncClient) -> str:
    return str((await browser.get(f"{API}/me")).json()["csrf_token"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_change_that_another_site_asks_for_is_refused(
    running: Running, headers: dict[str, str]
) -> None:
    async with running.browser() as browser:
        await running.sign_in(browser)
        token = await csrf_of(browser)
        refused = await browser.post("/sign-out", headers={"X-CSRF-Token": token} | headers)
        assert refused.status_code == 403
        own = {"X-CSRF-Token": token, "Origin": running.url, "Sec-Fetch-Site": "same-origin"}
        assert (await browser.post("/sign-out", headers=own)).status_code == 303


@pytest.mark.parametrize("kind", ["none", "empty", "made up", "of another session", "in a text"])
async def test_a_change_without_the_token_of_its_session_is_refused(running: Running, kind: str) -> None:
    async with running.browser() as browser, running.browser() as other:
        await running.sign_in(browser)
        await running.sign_in(other)
        form = {
            "none": {},
            "empty": {"csrf_token": ""},
            "made up": {"csrf_token": "0" * 64},
            "of another session": {"csrf_token": await csrf_of(other)},
        }
        if kind == "in a text":
            body = f"csrf_token={await csrf_of(browser)}"
            refused = await browser.post("/sign-out", content=body, headers={"content-type": "text/plain"})
        else:
            refused = await browser.post("/sign-out", data=form[kind])
        assert refused.status_code == 403
        assert (await browser.get("/")).status_code == 200
