"""The pages in this process, in local mode, for tests that look into the stores behind them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from functions.admin.app import create_app
from functions.services import Services
from shared.settings import parse_section
from tests.storage import environment_of

HOME = "http://localhost:7071"
SECTIONS: dict[str, dict[str, Any]] = {
    "pbx": {"address": "pbx.example.com", "name": "master", "password": "pbx-secret"},
    "exchange": {
        "sync_type": "on-premises",
        "user": "calendar@example.com",
        "password": "exchange-secret",
        "url": "mail.example.com",
    },
    "presence": {"timezone": "Europe/Berlin"},
}


def now() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_services(azurite: str) -> AsyncIterator[Services]:
    """The services over the emulator, where nobody has to sign in."""
    environment = environment_of(azurite)
    administration = replace(environment.administration, local=True)
    calendar = Services(replace(environment, callback_url=HOME, administration=administration))
    try:
        yield calendar
    finally:
        await calendar.close()


def open_browser(calendar: Services) -> httpx.AsyncClient:
    """A browser on this machine."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(calendar)), base_url=HOME)


async def configure(calendar: Services, **changes: dict[str, Any]) -> None:
    """Save a complete configuration, with changes by section."""
    for name, values in SECTIONS.items():
        stored = await calendar.config.load_section(name)
        section = parse_section(name, values | changes.get(name, {}))
        await calendar.config.save(name, section, stored.etag, "test", now())
    await calendar.config.load()


async def press(browser: httpx.AsyncClient, page: str, path: str, **fields: str) -> httpx.Response:
    """Press a button of a page, as browsers do."""
    shown = (await browser.get(page)).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
    assert token is not None
    assert f'action="{path}"' in shown
    headers = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}
    return await browser.post(path, data={"csrf_token": token[1], **fields}, headers=headers)


async def call(browser: httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Response:
    """Ask the API for something."""
    me = (await browser.get("/api/admin/v1/me")).json()
    headers = {"Origin": HOME, "X-CSRF-Token": me["csrf_token"]}
    return await browser.request(method, f"/api/admin/v1{path}", headers=headers, **options)
