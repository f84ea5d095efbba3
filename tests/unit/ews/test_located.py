"""The source whose Exchange is found first, and found again when it moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ExchangeUnavailable, MailboxError
from shared.ews.client import ExchangeClient
from shared.ews.discovery import Found
from shared.ews.located import LocatedSource
from shared.ews.location import Wanted
from shared.ews.source import ExchangeSource
from shared.ews.transport import Answer
from tests.unit.ews import messages
from tests.unit.ews.test_location import HERE, NOT_FOUND, NOW, THERE, WANTED, World

MAILBOX = "anna@example.com"


class Exchange:
    """Systems at addresses; at those in ``failing`` every request gets that answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: dict[str, Answer] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.asked.append(url)
        if url in self.failing:
            return self.failing[url]
        operation = headers["soapaction"].rpartition("/")[2].strip('"')
        answers = {
            "FindItem": messages.found_items(messages.item(item_id="a", uid="a")),
            "Subscribe": messages.subscribed("sub-7"),
            "ResolveNames": messages.resolved(messages.resolution(MAILBOX)),
            "GetItem": messages.organizers(messages.organizer("Hr", "hr@example.com", "SMTP")),
        }
        return Answer(200, {}, answers[operation])


class Setting:
    """A located source with its world."""

    def __init__(self, wanted: Wanted = WANTED) -> None:
        self.world = World(Found(HERE, False, None))
        self.exchange = Exchange()
        self.trouble = False
        self.source = LocatedSource(
            self.world.locator, wanted, self.connect, self.has_trouble, lambda: self.world.now
        )

    def connect(self, url: str) -> ExchangeSource:
        return ExchangeSource(ExchangeClient(url, self.exchange), False, 30)

    async def has_trouble(self) -> bool:
        return self.trouble

    async def read(self) -> None:
        await self.source.read(MAILBOX, NOW, NOW + timedelta(hours=48))


async def test_exchange_is_searched_once_and_then_asked_there() -> None:
    setting = Setting()
    for _ in range(3):
        await setting.read()
    assert setting.exchange.asked == [HERE] * 3
    assert len(setting.world.searched) == 1


async def test_all_that_a_source_can_do_is_done_at_the_address_found() -> None:
    setting = Setting()
    assert await setting.source.find_mailbox(MAILBOX) == MAILBOX
    assert await setting.source.subscribe(MAILBOX, "https://calendar.example.com") == "sub-7"
    reading = await setting.source.read(MAILBOX, NOW, NOW + timedelta(hours=48))
    wanted = [appointment.id for appointment in reading.appointments]
    reading = await setting.source.add_organizers(MAILBOX, reading, wanted)
    assert [appointment.organizer for appointment in reading.appointments] == ["hr@example.com"]


async def test_a_configured_address_is_not_searched() -> None:
    setting = Setting(Wanted(THERE, MAILBOX))
    await setting.read()
    assert setting.exchange.asked == [THERE]
    assert setting.world.searched == []


async def test_what_is_not_found_is_the_whole_systems_failure() -> None:
    setting = Setting()
    setting.world.answer = NOT_FOUND
    with pytest.raises(ExchangeUnavailable):
        await setting.read()
    assert setting.exchange.asked == []


async def test_an_exchange_that_moved_is_found_again_after_an_hour() -> None:
    setting = Setting()
    await setting.read()
    setting.exchange.failing[HERE] = Answer(200, {}, messages.refusal("FindItem", "ErrorConnectionFailed"))
    setting.world.answer = Found(THERE, False, None)
    with pytest.raises(MailboxError):
        await setting.read()
    assert len(setting.world.searched) == 1, "what was found just now is not doubted"
    setting.world.now += timedelta(hours=1, minutes=1)
    with pytest.raises(MailboxError):
        await setting.read()
    await setting.read()
    assert setting.exchange.asked[-1] == THERE


@pytest.mark.parametrize("repeated", [False, True])
async def test_one_503_alone_moves_nothing(repeated: bool) -> None:
    setting = Setting()
    await setting.read()
    setting.exchange.failing[HERE] = Answer(503, {}, b"")
    setting.world.answer = Found(THERE, False, None)
    setting.world.now += timedelta(hours=2)
    setting.trouble = repeated
    with pytest.raises(ExchangeUnavailable):
        await setting.read()
    assert (len(setting.world.searched) == 2) is repeated


async def test_where_another_worker_found_it_is_looked_up_after_a_minute() -> None:
    setting = Setting()
    await setting.read()
    kept = setting.world.record.kept
    assert kept is not None
    assert kept.location is not None
    setting.world.record.kept = replace(kept, location=replace(kept.location, url=THERE))
    await setting.read()
    setting.world.now += timedelta(minutes=2)
    await setting.read()
    assert setting.exchange.asked == [HERE, HERE, THERE]
