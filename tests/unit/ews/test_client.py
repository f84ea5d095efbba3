from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from lxml import etree

from shared.errors import (
    EwsClosed,
    ExchangeBusy,
    ExchangeUnavailable,
    MailboxError,
    SettingsError,
    SignInRefused,
)
from shared.ews.client import ExchangeClient, Source, checked_url
from shared.ews.names import Match
from shared.ews.notifications import Subscription
from shared.ews.transport import Answer
from shared.pseudonym import pseudonym
from tests.unit.ews import messages

URL = "https://mail.example.com/EWS/Exchange.asmx"
START = datetime(2017, 8, 21, tzinfo=UTC)
END = START + timedelta(hours=48)


class Exchange:
    """A transport whose answers a function gives; it keeps what was asked."""

    def __init__(self, *answers: bytes | Answer | Callable[[bytes], bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str], bytes]] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.asked.append((url, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Answer):
            return answer
        return Answer(200, {}, answer if isinstance(answer, bytes) else answer(body))

    def client(self, url: str = URL) -> ExchangeClient:
        return ExchangeClient(url, self)


def window_of(body: bytes) -> tuple[str, str]:
    view = etree.fromstring(body).find(f".//{{{messages.MESSAGES}}}CalendarView")
    assert view is not None
    return view.get("StartDate", ""), view.get("EndDate", "")


async def test_reads_a_mailbox_in_one_request() -> None:
    exchange = Exchange(messages.found_items(messages.item(), messages.item(start="")))
    reading = await exchange.client().read("anna@example.com", START, END)
    (appointment,) = reading.appointments
    assert (appointment.subject, reading.complete, reading.skipped) == ("Meeting", True, 1)
    assert (reading.unknown, reading.server_version) == (0, "15.2.1544.4")
    assert reading.sources == {appointment.id: Source("item-1", "uid-1")}
    ((url, headers, body),) = exchange.asked
    assert url == URL
    assert headers["x-anchormailbox"] == "anna@example.com"
    assert headers["content-type"] == "text/xml; charset=utf-8"
    assert headers["soapaction"] == f'"{messages.MESSAGES}/FindItem"'
    assert b"<t:PrimarySmtpAddress>anna@example.com</t:PrimarySmtpAddress>" in body
    assert window_of(body) == ("2017-08-21T00:00:00Z", "2017-08-23T00:00:00Z")


async def test_asks_in_utc_whatever_the_zone() -> None:
    exchange = Exchange(messages.found_items())
    zone = timezone(timedelta(hours=2))
    await exchange.client().read("anna@example.com", START.astimezone(zone), END.astimezone(zone))
    assert window_of(exchange.asked[0][2]) == ("2017-08-21T00:00:00Z", "2017-08-23T00:00:00Z")
    with pytest.raises(ValueError, match="zone"):
        await exchange.client().read("anna@example.com", START.replace(tzinfo=None), END)


async def test_reads_a_window_with_too_many_items_in_halves() -> None:
    early, over, late = (
        messages.item("2017-08-21T08:00:00Z", "2017-08-21T09:00:00Z", uid="early"),
        messages.item("2017-08-21T23:00:00Z", "2017-08-22T01:00:00Z", uid="over", item_id="2"),
        messages.item("2017-08-22T08:00:00Z", "2017-08-22T09:00:00Z", uid="late", item_id="3"),
    )
    exchange = Exchange(
        messages.found_items(late, messages.item(end=""), complete=False),
        messages.found_items(over, early),
        messages.found_items(late, over, messages.item(end="")),
    )
    reading = await exchange.client().read("anna@example.com", START, END)
    assert [reading.sources[item.id].uid for item in reading.appointments] == ["early", "over", "late"]
    assert reading.complete
    assert reading.skipped == 1
    assert [window_of(body) for _, _, body in exchange.asked[1:]] == [
        ("2017-08-21T00:00:00Z", "2017-08-22T00:00:00Z"),
        ("2017-08-22T00:00:00Z", "2017-08-23T00:00:00Z"),
    ]


async def test_gives_up_halving_and_says_so() -> None:
    exchange = Exchange(messages.found_items(messages.item(), complete=False))
    reading = await exchange.client().read("anna@example.com", START, END)
    assert not reading.complete
    assert len(reading.appointments) == 1
    assert len(exchange.asked) == 15
    short = Exchange(messages.found_items(complete=False))
    reading = await short.client().read("anna@example.com", START, START + timedelta(hours=1))
    assert not reading.complete
    assert len(short.asked) == 1


async def test_one_cut_off_part_leaves_the_whole_incomplete() -> None:
    exchange = Exchange(*(messages.found_items(complete=done) for done in (False, False, True)))
    reading = await exchange.client().read("anna@example.com", START, START + timedelta(hours=2))
    assert not reading.complete
    assert len(exchange.asked) == 3


async def test_resolves_as_the_account_or_as_the_candidate() -> None:
    exchange = Exchange(messages.resolved(messages.resolution("anna@example.com")))
    for impersonate in (None, "anna@example.com"):
        matches = await exchange.client().resolve("anna@example.com", impersonate)
        assert matches == (Match("anna@example.com", (), "Mailbox"),)
    (_, plain, first), (_, anchored, second) = exchange.asked
    assert "x-anchormailbox" not in plain
    assert b"ExchangeImpersonation" not in first
    assert anchored["x-anchormailbox"] == "anna@example.com"
    assert b"<t:PrimarySmtpAddress>anna@example.com<" in second
    assert b"<m:UnresolvedEntry>smtp:anna@example.com<" in second


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@example.com",
        "a b@example.com",
        "a@b\r\nX: y",
        "änna@example.com",
        "a<b@example.com",
        "a\x00@b",
    ],
)
async def test_asks_nothing_for_what_is_no_address(address: str) -> None:
    exchange = Exchange(messages.resolved())
    client = exchange.client()
    for question in (
        client.resolve(address, None),
        client.resolve("anna@example.com", address),
        client.read(address, START, END),
        client.subscribe(address, "https://callback.example", 30),
        client.organizers(address, ["1"]),
    ):
        with pytest.raises(MailboxError) as caught:
            await question
        assert caught.value.code == "ErrorInvalidSmtpAddress"
    assert exchange.asked == []


async def test_subscribes() -> None:
    exchange = Exchange(messages.subscribed())
    subscription = await exchange.client().subscribe("anna@example.com", "https://f.example/n?a=1&b=2", 5)
    assert subscription == Subscription("sub-1", "mark-1")
    ((_, headers, body),) = exchange.asked
    assert headers["soapaction"].endswith('/Subscribe"')
    assert b"<t:URL>https://f.example/n?a=1&amp;b=2</t:URL>" in body
    assert b"<t:StatusFrequency>5</t:StatusFrequency>" in body
    assert b"Watermark" not in body


async def test_asks_for_organizers_ten_at_a_time() -> None:
    def answer(body: bytes) -> bytes:
        ids = etree.fromstring(body).findall(f".//{{{messages.TYPES}}}ItemId")
        return messages.organizers(
            *(messages.organizer("X", f"{item.get('Id')}@example.com", "SMTP") for item in ids)
        )

    exchange = Exchange(answer)
    wanted = [f"item{number}" for number in range(23)]
    found = await exchange.client().organizers("anna@example.com", wanted)
    assert found == {item: f"{item}@example.com" for item in wanted}
    assert len(exchange.asked) == 3
    assert await exchange.client().organizers("anna@example.com", []) == {}
    assert len(exchange.asked) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Answer(401, {}, b""), SignInRefused, "HTTP 401"),
        (Answer(403, {}, b""), ExchangeUnavailable, "HTTP 403"),
        (Answer(302, {"location": "https://x"}, b""), ExchangeUnavailable, "HTTP 302"),
        (Answer(500, {}, messages.fault("ErrorServerBusy")), ExchangeBusy, "ErrorServerBusy"),
        (Answer(200, {}, messages.fault("ErrorServerBusy")), ExchangeBusy, "ErrorServerBusy"),
        (Answer(200, {}, b"<html>Sign in</html>"), ExchangeUnavailable, "WebPage"),
        (Answer(200, {}, b""), MailboxError, "Unreadable"),
        (Answer(200, {}, messages.found_items()[:-20]), MailboxError, "Unreadable"),
        (
            Answer(200, {}, messages.refusal("FindItem", "ErrorMailboxMoveInProgress")),
            MailboxError,
            "ErrorMailboxMoveInProgress",
        ),
    ],
)
async def test_raises_what_went_wrong(answer: Answer, kind: type[Exception], code: str) -> None:
    with pytest.raises(MailboxError if kind is MailboxError else ExchangeUnavailable) as caught:
        await Exchange(answer).client().read("anna@example.com", START, END)
    assert (type(caught.value), caught.value.code) == (kind, code)


async def test_exchange_online_closes_ews_with_a_403() -> None:
    client = Exchange(Answer(403, {}, b"")).client("https://outlook.office365.com/EWS/Exchange.asmx")
    with pytest.raises(EwsClosed):
        await client.read("anna@example.com", START, END)


async def test_logs_neither_addresses_nor_subjects(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    strange = messages.item(subject="Secret plan", more="<t:Sensitivity>Odd</t:Sensitivity>")
    await Exchange(messages.found_items(strange)).client().read("anna@example.com", START, END)
    with pytest.raises(MailboxError):
        await Exchange(Answer(200, {}, b"Secret")).client().read("Anna@example.com ".strip(), START, END)
    with pytest.raises(SignInRefused):
        await Exchange(Answer(401, {}, b"")).client().read("anna@example.com", START, END)
    logged = [record.__dict__ for record in caplog.records if record.name == "shared.ews.client"]
    assert len(logged) == 4
    assert all("anna" not in str(record).lower() and "Secret" not in str(record) for record in logged)
    assert {record["mailbox"] for record in logged} == {pseudonym("anna@example.com")}


def test_a_hash_is_the_same_however_the_address_is_written() -> None:
    assert pseudonym(" Anna@Example.com") == pseudonym("anna@example.com") != pseudonym("ann@example.com")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "ftp://mail.example.com/",
        "https://",
        "https:///EWS/Exchange.asmx",
        "https://user:secret@mail.example.com/EWS/Exchange.asmx",
        "https://mail.example.com:99999/",
        "https://[::1/",
        "https://mail.example.com/\r\nX: y",
    ],
)
def test_refuses_what_is_no_address_of_ews(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checked_url(url, allow_plain_http=True)
    assert caught.value.field == "exchange.url"
    assert "secret" not in str(caught.value)


def test_refuses_plain_http_unless_allowed() -> None:
    plain = "http://mail.example.com/EWS/Exchange.asmx"
    with pytest.raises(SettingsError, match="allow plain HTTP"):
        ExchangeClient(plain, Exchange(b""))
    ExchangeClient(plain, Exchange(b""), allow_plain_http=True)
    assert checked_url(plain, allow_plain_http=True) == plain
    assert checked_url(f" {URL} ") == URL
