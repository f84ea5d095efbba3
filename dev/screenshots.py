"""``make screenshots``: the pictures in ``docs/screenshots``, of the whole system with 25 invented users."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from playwright.async_api import Page, async_playwright

from dev.run.lock import RunError, check_ports, only_one
from dev.run.observer import Observer
from dev.run.stack import ROOT, ZONE, Ports, Stack, start_stack
from dev.seed import create_seed

PICTURES = ROOT / "docs" / "screenshots"
DIRECTORY = Path(".run") / "screenshots"
PORTS = Ports(7171)
WIDTH, HEIGHT = 1280, 800
MOST = 150_000
"""Bytes of a picture."""

PAGES = {
    "status": "/",
    "users": "/users",
    "timeline": "/users/{guid}#timeline",
    "user": "/users/{guid}",
    "pbx": "/configuration/pbx",
    "exchange": "/configuration/exchange",
    "mapping": "/configuration/presence",
    "debugging": "/debugging",
    "phones": "/phones",
}
"""The name of each picture, and where it is taken."""

WHO = "anna"
"""Whose page is shown: a user of `dev.seed`."""


def main() -> int:
    """Take all pictures; returns the exit code."""
    try:
        DIRECTORY.parent.mkdir(exist_ok=True)
        with only_one(DIRECTORY):
            check_ports(PORTS.purposes)
            asyncio.run(take_pictures())
    except RunError as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 1
    return 0


async def take_pictures() -> None:
    """Start everything, let something happen, and look at each page. Raises RunError."""
    seed = create_seed(25, now=datetime.now(UTC), at_work=True)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(start_stack(DIRECTORY, PORTS, seed, _say))
        observer = await stack.enter_async_context(Observer(running))
        await running.replicate()
        if not await observer.await_first_table(_say):
            raise RunError("Not every presence is right; nothing was taken.")
        guid = await _prepare(running)
        page = await stack.enter_async_context(_open_browser())
        for name, path in PAGES.items():
            base = running.pbx_control if name == "phones" else running.functions
            await _take(page, name, base + path.format(guid=guid))


async def _prepare(running: Stack) -> str:
    """Have the users counted and some requests recorded; return whose page is shown."""
    async with httpx.AsyncClient(base_url=running.functions, timeout=30) as client:
        api = "/api/admin/v1"
        client.headers["X-CSRF-Token"] = (await client.get(f"{api}/me")).json()["csrf_token"]
        found = (await client.get(f"{api}/users", params={"query": WHO})).json()["items"]
        guid = str(found[0]["guid"])
        (await client.put(f"{api}/recording", json={"minutes": 60})).raise_for_status()
        # A worker goes on for some seconds with the configuration it has read.
        await asyncio.sleep(6)
        (await client.post(f"{api}/read-everybody")).raise_for_status()
        await asyncio.sleep(20)
        for timer in ("tick", "midnight", "upkeep"):
            answer = await client.post(
                f"/admin/functions/{timer}",
                json={"input": ""},
                headers={"x-functions-key": running.master_key},
            )
            answer.raise_for_status()
        await asyncio.sleep(5)
    return guid


@asynccontextmanager
async def _open_browser() -> AsyncIterator[Page]:
    found = subprocess.run(  # noqa: ASYNC221 - nothing else is done meanwhile
        [ROOT / "dev" / "bootstrap", "--find", "browser"], capture_output=True, text=True, check=True
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.stdout.strip(), args=["--no-sandbox", "--disable-gpu"]
        )
        context = await browser.new_context(
            color_scheme="light",
            locale="en-GB",
            timezone_id=ZONE,
            viewport={"width": WIDTH, "height": HEIGHT},
        )
        yield await context.new_page()
        await browser.close()


async def _take(page: Page, name: str, address: str) -> None:
    """One picture of what is seen first. Raises RunError."""
    answer = await page.goto(address)
    if answer is None or answer.status != 200:
        raise RunError(f"{address} can't be opened.")
    await asyncio.sleep(1)
    PICTURES.mkdir(exist_ok=True)
    picture = await page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", scale="css")
    if len(picture) > MOST:
        raise RunError(f"{name}.png has {len(picture)} bytes, more than {MOST}.")
    _say(name, f"{len(picture) // 1000} kB")


def _say(step: str, result: str) -> None:
    print(f"{step:<14} {result}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
