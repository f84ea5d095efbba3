"""Every address, asked for by everybody who may not have it."""

from __future__ import annotations

import re

import pytest
from cryptography.fernet import Fernet
from fastapi.routing import APIRoute

from functions.admin.app import ROUTERS, create_app
from functions.admin.assets import Assets
from functions.admin.gate import OPEN
from functions.services import Services
from shared.environment import Environment
from tests.integration.admin.conftest import API, Running

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


def paths() -> list[str]:
    """The addresses of all routes, with something in place of their parameters."""
    routes = [route for router in ROUTERS for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in routes)
    return [
        re.sub(r"\{\w+(:\w+)?\}", "a" * 32, route.path) for route in routes if isinstance(route, APIRoute)
    ]


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


async def test_nobody_gets_anything_without_signing_in(running: Running) -> None:
    async with running.browser() as browser:
        for path in [*paths(), *STRANGE]:
            if path in OPEN or path.startswith("/static/"):
                continue
            for method in METHODS:
                answer = await browser.request(method, path)
                case = f"{method} {path}"
                if path.startswith("/api/"):
                    assert answer.status_code == 401, case
                    assert answer.headers["www-authenticate"] == "Bearer", case
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
