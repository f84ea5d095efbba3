"""Files of whatever there is: sent while it is read, and never half of one as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from starlette.types import Message, Send

from functions.admin import download
from functions.admin.app import create_app
from functions.services import Services
from shared.ews.recording import Record
from shared.model import User
from shared.state.storage import Storage
from tests.integration.admin.pages import HOME, configure, now, open_services

pytestmark = pytest.mark.integration

USERS = [User(letter * 32, name) for letter, name in (("a", "anna"), ("b", "bert"), ("c", "carla"))]
RECORD = Record(now(), 0.25, "anna", {}, "<a/>", 200, {}, "<b/>", "")

FILES = pytest.mark.parametrize(
    ("path", "store", "method"),
    [
        ("/users.csv", "listing", "export"),
        ("/debugging/records.jsonl", "recordings", "read"),
        ("/api/admin/v1/users.csv", "listing", "export"),
        ("/api/admin/v1/recording/records.jsonl", "recordings", "read"),
    ],
)


@pytest.fixture
async def calendar(
    storage: Storage, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    """With three users and three records; a part is as short as can be."""
    monkeypatch.setattr(download, "_PART", 1)
    async with open_services(azurite) as calendar:
        await configure(calendar)
        await calendar.users.add_all([(user, ()) for user in USERS])
        await calendar.listing.store(USERS)
        for number, user in enumerate(USERS):
            await calendar.recordings.add(
                replace(RECORD, at=RECORD.at + timedelta(seconds=number), place=user.sip)
            )
        yield calendar


async def ask(calendar: Services, path: str, send: Send) -> None:
    """Ask the application itself, as its server does: clients here would put the parts together."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "scheme": "http"}
    headers = [(b"host", HOME.removeprefix("http://").encode())]
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    await create_app(calendar)(scope | {"headers": headers}, receive, send)


@FILES
async def test_a_file_is_sent_while_it_is_read(
    calendar: Services, monkeypatch: pytest.MonkeyPatch, path: str, store: str, method: str
) -> None:
    read, arrived, parts = getattr(getattr(calendar, store), method), asyncio.Event(), []

    async def read_slowly(*wanted: Any) -> AsyncIterator[Any]:
        async for each in read(*wanted):
            yield each
            # The next one is not read before this one has been sent.
            await asyncio.wait_for(arrived.wait(), 60)
            arrived.clear()

    monkeypatch.setattr(getattr(calendar, store), method, read_slowly)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            parts.append(message["body"])
            arrived.set()

    await ask(calendar, path, send)
    assert len(parts) >= 3
    for user, part in zip(USERS, parts, strict=False):
        assert user.sip.encode() in part


@FILES
@pytest.mark.parametrize("count", [0, 2])
async def test_half_a_file_does_not_pass_for_a_whole_one(
    calendar: Services, monkeypatch: pytest.MonkeyPatch, path: str, store: str, method: str, count: int
) -> None:
    read = getattr(getattr(calendar, store), method)
    sent: list[Message] = []

    async def fail(*wanted: Any) -> AsyncIterator[Any]:
        found = read(*wanted)
        for _ in range(count):
            yield await anext(found)
        raise ServiceRequestError("The storage account does not answer.")

    monkeypatch.setattr(getattr(calendar, store), method, fail)

    async def send(message: Message) -> None:
        sent.append(message)

    if count == 0:
        await ask(calendar, path, send)
        assert sent[0]["status"] >= 500
    else:
        with pytest.raises(ServiceRequestError):
            await ask(calendar, path, send)
        assert all(message["more_body"] for message in sent[1:])
