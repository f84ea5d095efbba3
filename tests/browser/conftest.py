"""A real browser before the administration page; axe-core judges whether everybody can use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from dev.host import FunctionsHost
from tests.integration.admin.conftest import ROOT, free_port, serve

AXE = ROOT / "dev" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

Scheme = Literal["light", "dark"]
Open = Callable[..., Awaitable[Page]]
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
"""Colours and widths in which every page has to do."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def host(azurite: str) -> AsyncIterator[FunctionsHost]:
    """The function app in local mode, where nobody has to sign in."""
    async with serve(azurite, free_port(), CALENDAR_ADMIN_SIGN_IN="local") as host:
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


@pytest_asyncio.fixture(loop_scope="module")
async def visit(host: FunctionsHost, browser: Browser) -> AsyncIterator[Open]:
    """Opens a page; at the end it must not have complained about anything."""
    complaints: list[str] = []
    contexts = []

    async def open_page(path: str, scheme: Scheme = "light", width: int = 1280, **options: Any) -> Page:
        context = await browser.new_context(
            base_url=host.url,
            color_scheme=scheme,
            viewport={"width": width, "height": 800},
            **options,
        )
        contexts.append(context)
        page = await context.new_page()

        def hear(message: ConsoleMessage) -> None:
            if message.type == "error":
                complaints.append(message.text)

        def watch(request: Request) -> None:
            if not request.url.startswith(host.url):
                complaints.append(request.url)

        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch)
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 200
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, a line each."""
    await page.evaluate(AXE.read_text("utf-8"))
    rules = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
    found = await page.evaluate(f"axe.run({rules})")
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
