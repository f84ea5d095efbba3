"""The page of the displays: what its server tells, and what a browser makes of it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dev.pbx import PbxSimulator, Viewer, phones

CHROMIUM = shutil.which("chromium")
ANNA: dict[str, Any] = {"guid": "a" * 32, "h323": "anna", "cn": "Anna Bauer"}
BERT: dict[str, Any] = {"guid": "b" * 32, "h323": "bert", "cn": "Bert <b>Blum</b>"}
NOTE = "Free until 10:30 (Busy: Meeting) #free #until:1503304200000 #next-activity:busy #next:24:7:24:7"


def morning() -> datetime:
    return datetime(2017, 8, 21, 6, tzinfo=UTC)


@pytest.fixture
async def pbx() -> AsyncIterator[PbxSimulator]:
    async with PbxSimulator(users=[ANNA, BERT], viewer=Viewer("en", "Europe/Berlin"), now=morning) as pbx:
        yield pbx


@pytest.fixture
async def control(pbx: PbxSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=pbx.control_url, trust_env=False) as client:
        yield client


async def events(control: httpx.AsyncClient) -> AsyncIterator[tuple[str, Any]]:
    async with control.stream("GET", "/phones/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize(
    ("path", "kind"), [("/phones", "html"), ("/phones.css", "css"), ("/phones.js", "javascript")]
)
async def test_the_page_fetches_nothing_from_elsewhere(
    control: httpx.AsyncClient, path: str, kind: str
) -> None:
    answer = await control.get(path)
    assert answer.status_code == 200
    assert kind in answer.headers["content-type"]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"https?://|style=|onclick|innerHTML", answer.text)


async def test_all_displays_are_told_at_first_and_then_each_change(
    pbx: PbxSimulator, control: httpx.AsyncClient
) -> None:
    stream = events(control)
    name, everybody = await anext(stream)
    assert name == "phones"
    assert [(phone["name"], phone["display"]) for phone in everybody] == [
        ("Anna Bauer", ""),
        ("Bert <b>Blum</b>", ""),
    ]
    pbx.set_by_hand("a" * 32, "", NOTE)
    name, anna = await anext(stream)
    assert name == "phone"
    assert anna["display"] == "Free until 10:30 (Busy: Meeting)"
    assert anna["set_at"] == "2017-08-21T06:00:00+00:00"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_who_comes_and_goes_is_told_within_the_refresh(
    pbx: PbxSimulator, control: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phones, "REFRESH", 0.05)
    stream = events(control)
    await anext(stream)
    pbx.users.remove("a" * 32)
    pbx.users.add({"h323": "carla"})
    async with asyncio.timeout(60):
        while True:
            name, everybody = await anext(stream)
            if [phone["sip"] for phone in everybody] == ["bert", "carla"]:
                break
    assert name == "phones"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_user_who_is_removed_at_once_is_passed_over(
    pbx: PbxSimulator, control: httpx.AsyncClient
) -> None:
    stream = events(control)
    await anext(stream)
    pbx.set_by_hand("a" * 32, "busy", "gone")
    pbx.users.remove("a" * 32)
    pbx.set_by_hand("b" * 32, "busy", "here")
    name, bert = await anext(stream)
    assert (name, bert["sip"]) == ("phone", "bert")
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_browser_shows_names_activities_and_notes_and_their_changes(pbx: PbxSimulator) -> None:
    """In the browser of the machine, where it has one; a name with markup stays text."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine to show the page in")
    from playwright.async_api import async_playwright, expect

    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        await page.goto(f"{pbx.control_url}/phones")
        cards = page.locator(".phone")
        await expect(cards).to_have_count(2)
        await expect(cards.nth(1).locator(".name")).to_have_text("Bert <b>Blum</b>")
        await expect(page.locator("#connection")).to_have_text("Live")
        pbx.set_by_hand("a" * 32, "dnd", NOTE)
        await expect(cards.nth(0).locator(".note")).to_have_text("Free until 10:30 (Busy: Meeting)")
        await expect(cards.nth(0).locator(".word")).to_have_text("Do not disturb")
        await expect(page.locator("#news")).to_have_text("Anna Bauer: Free until 10:30 (Busy: Meeting)")
        await page.get_by_label("Find a name or a note").fill("meeting")
        await expect(page.locator(".phone:visible")).to_have_count(1)
        await expect(page.locator("[data-count=all]")).to_have_text("1")
        await page.get_by_label("Away").check()
        await expect(page.locator(".phone:visible")).to_have_count(0)
        await expect(page.locator("#nobody")).to_be_visible()
        await browser.close()
    # A browser asks for an icon by itself.
    assert [fault for fault in faults if "404" not in fault] == []
