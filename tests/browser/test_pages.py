"""Every page, in every look."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Open, faults_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PAGES = (
    "/",
    "/users",
    "/configuration/pbx",
    "/configuration/exchange",
    "/configuration/presence",
    "/debugging",
    "/actions",
)


FLAWS = """
@media (prefers-color-scheme: dark) { h1 { color: #333; } }
@media (max-width: 400px) { main { min-width: 500px; } }
"""


@pytest.mark.parametrize("path", PAGES)
async def test_everybody_can_use_the_page(visit: Open, path: str) -> None:
    assert await faults_of(await visit(path)) == []


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_is_read_without_script(visit: Open, path: str) -> None:
    page = await visit(path, java_script_enabled=False)
    assert await page.locator("h1").inner_text()
    assert await page.locator("header nav a[aria-current=page]").count() == 1


async def test_the_keyboard_leads_to_the_content_first(visit: Open) -> None:
    page = await visit("/")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "To the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"


async def test_the_judge_finds_what_is_wrong_in_every_look_and_in_one_only(visit: Open) -> None:
    page = await visit("/")
    await page.evaluate("document.querySelector('main').innerHTML += '<img>'")
    # Unlike an element of their own, the page's policy lets these styles in.
    await page.evaluate(
        """rules => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(rules);
            document.adoptedStyleSheets = [sheet];
        }""",
        FLAWS,
    )
    found = {": ".join(fault.split(": ")[:2]) for fault in await faults_of(page)}
    assert found == {
        *("light: image-alt", "dark: image-alt", "dark: color-contrast"),
        "360 pixels: it has to be scrolled sideways",
    }
