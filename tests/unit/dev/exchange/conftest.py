"""A simulator with a few mailboxes, and a listener for its notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from lxml import etree

from dev.exchange import ExchangeSimulator
from tests.unit.dev.exchange.client import M, T

SEED: list[dict[str, Any]] = [
    {"address": "anna@example.com", "aliases": ["a.miller@example.com"], "name": "Anna Miller"},
    {"address": "bob@example.com", "name": "Bob Brown"},
    {"address": "bobby@example.com", "name": "Bobby Tables"},
    {"address": "team@example.com", "name": "The Team", "type": "PublicDL"},
    {"address": "ceo@example.com", "name": "Chief", "impersonation_denied": True},
]
MINUTE = 0.1


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    async with ExchangeSimulator(seed=SEED, minute=MINUTE) as simulator:
        yield simulator


class Listener:
    """The address that notifications are sent to. ``answers`` are given in turn, the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[bytes] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, str]] = [(200, "OK")]
        self._arrived = asyncio.Condition()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._arrived:
            self.received.append(body)
            self.times.append(asyncio.get_running_loop().time())
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self._arrived.notify_all()
        status, word = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        text = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<SendNotificationResult xmlns="{M[1:-1]}"><SubscriptionStatus>{word}</SubscriptionStatus>'
            "</SendNotificationResult></s:Body></s:Envelope>"
        )
        return web.Response(status=status, text=text, content_type="text/xml")

    async def wait_for(self, count: int) -> list[etree._Element]:
        """The first ``count`` notifications, once they are there."""
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return [etree.fromstring(body) for body in self.received[:count]]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listening = Listener()
    application = web.Application()
    application.router.add_post("/notify", listening.receive)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listening.url = f"http://127.0.0.1:{runner.addresses[0][1]}/notify"
    yield listening
    await runner.cleanup()


def events(notification: etree._Element) -> list[str]:
    """The events' kinds, with what they are about."""
    about = {f"{T}ItemId": "item", f"{T}FolderId": "folder"}
    return [
        " ".join([etree.QName(event).localname, *(about[part.tag] for part in event if part.tag in about)])
        for event in notification.iter(f"{T}*")
        if etree.QName(event).localname.endswith("Event")
    ]
