"""Every address, asked for by everybody who may not have it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi.routing import APIRoute

from dev.entra import SigningKey
from functions.admin.app import ROUTERS, create_app
from functions.admin.assets import Assets
from functions.admin.gate import OPEN
from functions.admin.session import IDLE, LONGEST, Administrator, Sessions
from functions.services import Services
from shared.environment import Environment
from tests.integration.admin.conftest import API, VISITOR, Running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STRANGE = (
    "/nothing",
    "/api",
    f"{API}/",
    "/sign-in/",
    "/SIGN-IN",
    "//",
    "/static",
    "/Static/x",
    "/%2e%2e/",
)


def routes() -> list[tuple[str, str]]:
    """All of them by method and address, with something in place of parameters."""
    found = [route for router in ROUTERS for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in found)
    return [
        (method, re.sub(r"\{\w+(:\w+)?\}", "a" * 32, route.path))
        for route in found
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def paths() -> list[str]:
    """Their addresses."""
    return list(dict.fromkeys(path for _, path in routes()))


def is_closed(path: str) -> bool:
    """Whether it is neither part of the sign-in nor a file that pages are made of."""
    return path not in OPEN and not path.startswith("/static/")


async def test_the_application_has_no_other_routes() -> None:
    environment = Environment.read(
        {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
        }
    )
    assert len(create_app(Services(environment)).application.routes) == len(ROUTERS)


async def test_there_are_pages_and_an_api() -> None:
    found = set(paths())
    assert {"/", "/actions", f"{API}/me", f"{API}/openapi.json", "/sign-out"} <= found
    assert len(found) >= 10


async def is_refused(
    browser: httpx.AsyncClient, method: str, path: str, status: int = 401, challenge: str = "Bearer"
) -> None:
    """What the API says depends on what the caller has brought; pages lead to the sign-in."""
    answer = await browser.request(method, path)
    case = f"{method} {path}"
    if path.startswith("/api/"):
        assert answer.status_code == status, case
        assert answer.headers["www-authenticate"] == challenge, case
    elif method in ("GET", "HEAD", "OPTIONS"):
        assert answer.status_code == 303, case
        assert answer.headers["location"].startswith("/sign-in"), case
        assert answer.content == b"", case
    elif path == "/sign-out":
        assert (answer.status_code, answer.headers["location"]) == (303, "/signed-out"), case
        assert answer.content == b"", case
    else:
        assert answer.status_code == 401, case
        assert "Your session is over" in answer.text, case
        assert "<nav" not in answer.text, case
        assert "csrf" not in answer.text, case


async def test_nobody_gets_anything_without_signing_in(running: Running) -> None:
    async with running.browser() as browser:
        for path in filter(is_closed, [*paths(), *STRANGE]):
            for method in METHODS:
                await is_refused(browser, method, path)


FRESH = timedelta(minutes=1)


def session(key: str, age: timedelta = FRESH, idle: timedelta = FRESH) -> dict[str, str]:
    """The cookie of an administrator who signed in so long ago, and did nothing for so long."""
    sessions, now = Sessions([key]), datetime.now(UTC)
    begun = sessions.begin(Administrator("a", "admin@example.com"), now - age)
    seen = replace(begun, seen=(now - idle).timestamp())
    return {"Cookie": f"calendar={sessions.seal_session(seen)}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def forge(running: Running) -> str:
    """A token that is right but for its signature; it names the right key."""
    key = SigningKey()
    key._id = running.entra.key._id
    return key.sign(running.claims())


INVALID = (401, 'Bearer error="invalid_token"')
STRANGERS: dict[str, tuple[Callable[[Running], dict[str, str]], int, str]] = {
    "a session that is over": (lambda running: session(running.session_key, LONGEST), 401, "Bearer"),
    "a session that nobody used": (lambda running: session(running.session_key, IDLE, IDLE), 401, "Bearer"),
    "a forged session": (lambda _: session(Fernet.generate_key().decode()), 401, "Bearer"),
    "a forged token": (lambda running: bearer(forge(running)), *INVALID),
    "a token that is over": (lambda running: bearer(running.token(exp=1)), *INVALID),
    "a token for somebody else": (lambda running: bearer(running.token(aud="https://x.example")), *INVALID),
    "a token of another tenant": (lambda running: bearer(running.token(iss="https://x.example")), *INVALID),
    "a token without the role": (
        lambda running: bearer(running.token(roles=["Calendar.Reader"])),
        403,
        'Bearer error="insufficient_scope"',
    ),
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_nobody_gets_anything_with(running: Running, stranger: str) -> None:
    credentials, status, challenge = STRANGERS[stranger]
    async with running.browser(headers=credentials(running)) as browser:
        for method, path in routes():
            if is_closed(path):
                await is_refused(browser, method, path, status, challenge)


async def test_whoever_is_no_administrator_gets_nothing_after_signing_in(running: Running) -> None:
    async with running.browser() as browser:
        assert (await running.sign_in(browser, VISITOR)).status_code == 403
        for method, path in routes():
            if is_closed(path):
                await is_refused(browser, method, path)


async def test_what_lets_in_is_the_age_of_a_session_and_its_key(running: Running) -> None:
    """The strangers' sessions have nothing else that is wrong with them."""
    async with running.browser(headers=session(running.session_key)) as browser:
        assert (await browser.get("/actions")).status_code == 200
        assert (await browser.get(f"{API}/me")).json()["name"] == "admin@example.com"


async def test_what_is_another_function_s_is_answered_with_nothing(running: Running) -> None:
    """Such as a notification's address that is asked for wrongly: its secret goes nowhere."""
    async with running.browser() as browser:
        for path in ("/api/", "/api/notifications/a/b", "/api/admin"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.content) == (404, b""), path
            assert "location" not in answer.headers, path


async def test_what_is_open_tells_nothing(running: Running) -> None:
    async with running.browser() as browser:
        for path in OPEN:
            answer = await browser.get(path)
            for word in ("Actions", "<nav", "csrf", "tick"):
                assert word not in answer.text, path


async def test_the_files_of_pages_are_for_everybody_and_for_ever(running: Running) -> None:
    async with running.browser() as browser:
        for file in ("admin.css", "admin.js", "htmx.min.js", "icon.svg"):
            answer = await browser.get(Assets().url(file))
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        for name in ("admin.css", "README.md", "..%2Fapp.py", "%2e%2e/app.py"):
            assert (await browser.get(f"/static/{name}")).status_code in (303, 404)


async def test_every_answer_forbids_what_is_not_ours(running: Running) -> None:
    async with running.browser() as browser:
        for path in ("/", "/sign-in", "/signed-out", "/signed-in", f"{API}/me", Assets().url("admin.js")):
            headers = (await browser.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"https?:|\*", policy)
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
        await running.sign_in(browser)
        page = await browser.get("/")
        assert page.headers["cache-control"] == "no-store"
        for inline in ("style=", "<style", "onclick", "javascript:", "<script>"):
            assert inline not in page.text


async def test_a_body_without_end_is_refused(running: Running) -> None:
    async with running.browser() as browser:
        await running.sign_in(browser)
        assert (await browser.post("/sign-out", content=b"x" * 300_000)).status_code == 413
