from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from shared.errors import MailboxError
from shared.ews.client import ExchangeClient
from shared.ews.source import ExchangeSource
from shared.ews.transport import Answer
from tests.unit.ews import messages

START = datetime(2017, 8, 21, tzinfo=UTC)


class Exchange:
    """A transport that knows one mailbox with three meetings, two of them with an organizer's address."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.asked.append(body)
        return Answer(200, {}, self._answer(headers["soapaction"].rpartition("/")[2].strip('"'), body))

    def _answer(self, operation: str, body: bytes) -> bytes:
        if operation == "ResolveNames":
            return messages.resolved(
                messages.resolution("anna@example.com.au"),
                messages.resolution("anna@example.com", "smtp:a.smith@example.com"),
            )
        if operation == "FindItem":
            return messages.found_items(
                *(messages.item(item_id=name, uid=name, more=messages.organizer("X")) for name in "abc")
            )
        if operation == "Subscribe":
            return messages.subscribed("sub-7")
        ids = [item.get("Id") for item in etree.fromstring(body).iter(f"{{{messages.TYPES}}}ItemId")]
        known = {"a": "a@example.com", "b": "b@example.com"}
        return messages.organizers(
            *(messages.organizer("X", known.get(str(name), ""), "SMTP") for name in ids)
        )

    def source(self, *, candidates_resolve: bool = False) -> ExchangeSource:
        client = ExchangeClient("https://mail.example.com/EWS/Exchange.asmx", self)
        return ExchangeSource(client, candidates_resolve, 30)


@pytest.mark.parametrize("address", ["anna@example.com", "A.Smith@example.com"])
async def test_finds_the_primary_address(address: str) -> None:
    assert await Exchange().source().find_mailbox(address) == "anna@example.com"


async def test_finds_none_that_merely_begins_alike() -> None:
    assert await Exchange().source().find_mailbox("anna@example.co") is None


@pytest.mark.parametrize("candidates", [True, False])
async def test_has_the_account_or_the_candidate_resolve(candidates: bool) -> None:
    exchange = Exchange()
    await exchange.source(candidates_resolve=candidates).find_mailbox("anna@example.com")
    assert (b"PrimarySmtpAddress" in exchange.asked[0]) is candidates


async def test_adds_organizers_to_the_appointments_asked_for_alone() -> None:
    exchange = Exchange()
    source = exchange.source()
    reading = await source.read("anna@example.com", START, START + timedelta(days=2))
    wanted = [key for key, item in reading.sources.items() if item.uid in ("a", "c")]
    fuller = await source.add_organizers("anna@example.com", reading, [*wanted, "not in the reading"])
    by_uid = {reading.sources[item.id].uid: item.organizer for item in fuller.appointments}
    assert by_uid == {"a": "a@example.com", "b": "", "c": ""}
    assert (fuller.sources, fuller.complete) == (reading.sources, reading.complete)
    assert exchange.asked[-1].count(b"<t:ItemId ") == 2


async def test_subscribes() -> None:
    exchange = Exchange()
    assert await exchange.source().subscribe("anna@example.com", "https://f.example/n") == "sub-7"
    assert b"<t:StatusFrequency>30</t:StatusFrequency>" in exchange.asked[0]


async def test_what_fails_is_told() -> None:
    with pytest.raises(MailboxError):
        await Exchange().source().find_mailbox("no address")


class Stranger:
    """A transport behind which no candidate has a mailbox of its own."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return Answer(500, {}, messages.fault("ErrorNonExistentMailbox"))


async def test_a_candidate_who_can_not_resolve_itself_has_no_mailbox_under_that_address() -> None:
    client = ExchangeClient("https://mail.example.com/EWS/Exchange.asmx", Stranger())
    assert await ExchangeSource(client, True, 30).find_mailbox("alias@example.com") is None
    with pytest.raises(MailboxError):
        await ExchangeSource(client, False, 30).find_mailbox("alias@example.com")
