"""A real browser before the administration page; axe-core judges whether everybody can use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from aiohttp import web
from multidict import CIMultiDict
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from dev.host import FunctionsHost
from functions.services import Services
from tests.integration.admin.conftest import ROOT, serve
from tests.integration.admin.pages import open_browser
from tests.ports import find_ports

AXE = ROOT / "dev" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
UNUSED = [
    # The suggestions below the address bar, hidden pages that take more work than the page in each window.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "AimEnabled"),
    # Only the last list of features counts; these are of Playwright's own.
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "OptimizationHints"),
    *("ThirdPartyStoragePartitioning", "NetworkTimeServiceQuerying", "PreconnectToSearch"),
]
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", f"--disable-features={','.join(UNUSED)}"),
]

WAIT = 60
"""Seconds for what the service does behind a page, on a machine that is busy with other tests."""
expect.set_options(timeout=WAIT * 1000)

Open = Callable[..., Awaitable[Page]]
Scheme = Literal["light", "dark"]
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("light", 360), ("dark", 1280), ("dark", 360)]
"""Colours and widths in which every page has to do."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def host(azurite: str) -> AsyncIterator[FunctionsHost]:
    """The function app in local mode, where nobody has to sign in."""
    async with serve(azurite, find_ports(), CALENDAR_ADMIN_SIGN_IN="local") as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The Chromium of this machine, else Playwright's own."""
    find = await asyncio.create_subprocess_exec(
        ROOT / "dev" / "bootstrap", "--find", "browser", stdout=asyncio.subprocess.PIPE
    )
    found, _ = await find.communicate()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=Path(found.decode().strip()), headless=True, args=ARGUMENTS
        )
        yield browser
        await browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What a browser complains about; a test takes out what it wants."""
    return []


@pytest.fixture(scope="module")
def url(host: FunctionsHost) -> str:
    """Where the pages are; for a file that wants others, another one."""
    return host.url


@pytest_asyncio.fixture(loop_scope="module")
async def visit(url: str, browser: Browser, complaints: list[str]) -> AsyncIterator[Open]:
    """Opens a page; at the end it must not have complained about anything."""
    contexts: list[BrowserContext] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def watch(request: Request) -> None:
        if not request.url.startswith(url):
            complaints.append(request.url)

    async def open_page(path: str, **options: Any) -> Page:
        context = await browser.new_context(base_url=url, viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        context.on("console", hear)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", watch)
        page = await context.new_page()
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 200
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


@asynccontextmanager
async def listening(calendar: Services) -> AsyncIterator[str]:
    """The address at which these services' pages answer, in this process.

    Playwright's routes are no way to them: what follows a redirection is sent past them.
    """
    application = open_browser(calendar)

    async def pass_on(request: web.Request) -> web.Response:
        answer = await application.request(
            request.method, request.path_qs, headers=request.headers, content=await request.read()
        )
        headers = CIMultiDict(answer.headers.multi_items())
        return web.Response(status=answer.status_code, headers=headers, body=answer.content)

    server = web.Application()
    server.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with application:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def reload_until(page: Page, found: Callable[[], Awaitable[bool]]) -> None:
    """Load a page that does not refresh itself again and again until something is found on it."""
    async with asyncio.timeout(WAIT):
        while not await found():
            await page.wait_for_timeout(200)
            await page.reload()


async def faults_of(page: Page) -> list[str]:
    """What keeps anybody from using a page, in every look; the last of them stays.

    What is folded away, such as the question before something is deleted, is unfolded for that.
    """
    faults = []
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for scheme, width in LOOKS:
        # Without motion nothing is caught half-way from one colour to the other.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": 800})
        faults += [f"{scheme} {width}: {each}" for each in await violations(page)]
        if await is_too_wide(page):
            faults.append(f"{scheme} {width}: it has to be scrolled sideways")
    return faults


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it looks, a line each."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("options => axe.run(options)", OPTIONS)
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


async def is_too_wide(page: Page) -> bool:
    """Whether it has to be scrolled sideways."""
    return bool(
        await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )
