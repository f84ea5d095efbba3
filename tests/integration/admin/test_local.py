"""The local mode: whoever sits at the machine is let in, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from functions.admin.gate import OPEN
from tests.integration.admin.conftest import API, serve
from tests.integration.admin.test_routes import METHODS, STRANGE, paths
from tests.ports import find_ports

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NOTICE = "Local mode"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(azurite: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve(azurite, find_ports(), CALENDAR_ADMIN_SIGN_IN="local") as host,
        httpx.AsyncClient(base_url=host.url, timeout=60) as browser,
    ):
        yield browser


async def test_nobody_has_to_sign_in_and_every_page_says_so(browser: httpx.AsyncClient) -> None:
    for path in ("/", "/actions", "/nothing"):
        assert NOTICE in (await browser.get(path)).text
    for path in ("/sign-in", "/signed-in"):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (await browser.get(f"{API}/me")).json()["name"] == "local administrator"


@pytest.mark.parametrize("host", ["localhost:7071", "127.0.0.1", "[::1]:7071"])
async def test_this_machine_has_several_names(browser: httpx.AsyncClient, host: str) -> None:
    assert (await browser.get("/", headers={"Host": host})).status_code == 200


async def test_nobody_else_gets_anything(browser: httpx.AsyncClient) -> None:
    for path in [*paths(), *OPEN, *STRANGE]:
        for method in METHODS:
            answer = await browser.request(method, path, headers={"Host": "calendar.example.com"})
            assert answer.status_code == 403, f"{method} {path}"
            assert "tick" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.0.2.1:7071"},
        {"Host": "localhost@evil.example"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-ARR-SSL": "1"},
        {"X-ARR-LOG-ID": "1"},
    ],
    ids=str,
)
async def test_a_request_from_elsewhere_is_known_by_its_headers(
    browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for path in ("/", "/sign-in", f"{API}/me"):
        assert (await browser.get(path, headers=headers)).status_code == 403


@pytest.mark.parametrize("path", ["/%ff", "/%"])
async def test_an_address_that_is_no_text_is_refused(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).status_code in (400, 404)


async def test_a_page_of_another_site_changes_nothing_here(browser: httpx.AsyncClient) -> None:
    refused = await browser.post("/sign-out", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert (await browser.post("/sign-out")).status_code == 403
