"""The client against the simulated Exchange: NTLM over TLS, every question, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from dev.exchange.simulator import ExchangeSimulator
from shared.auth.channel_binding import ChannelBinding
from shared.auth.ntlm import NtlmLanes
from shared.errors import (
    ExchangeBusy,
    ExchangeError,
    ExchangeUnavailable,
    MailboxError,
    SignInRefused,
)
from shared.ews import transport
from shared.ews.client import ExchangeClient, Reading
from shared.ews.names import choose
from shared.ews.notifications import Notification, parse_notifications
from shared.ews.requests import notification_result
from shared.ews.transport import tls_context
from shared.model import Response, Sensitivity, ShowAs

ANNA, BOB = "anna@example.com", "bob@example.com"
START = datetime(2026, 11, 22, tzinfo=UTC)
END = START + timedelta(hours=48)
SEED: list[dict[str, Any]] = [
    {
        "address": ANNA,
        "aliases": ["a.miller@example.com"],
        "name": "Anna Miller",
        "appointments": [
            {"subject": "Review", "start": "2026-11-22T14:00", "organizer": BOB, "response": "accept"},
            {
                "subject": "Standup",
                "start": "2026-11-20T09:00",
                "end": "2026-11-20T09:15",
                "show_as": "tentative",
                "sensitivity": "private",
                "repeat": {"every": "day", "count": 10},
            },
            {"subject": "Holiday", "start": "2026-11-23", "all_day": True, "show_as": "out_of_office"},
            {"subject": "Endless", "start": "2026-11-22T16:00", "omit": ["end"]},
        ],
    },
    {"address": BOB, "name": "Bob"},
    {"address": "anna@example.com.au", "name": "Anna Elsewhere"},
    {"address": "denied@example.com", "impersonation_denied": True},
    {"address": "group@example.com", "type": "PublicDL"},
]


@asynccontextmanager
async def connected(
    exchange: ExchangeSimulator,
    *,
    password: str | None = None,
    lanes: int = 2,
    channel_binding: ChannelBinding = "auto",
) -> AsyncIterator[ExchangeClient]:
    ways = NtlmLanes(
        exchange.user,
        exchange.password if password is None else password,
        tls_context(exchange.ca_pem.decode()),
        lanes=lanes,
        channel_binding=channel_binding,
    )
    try:
        yield ExchangeClient(exchange.ews_url, ways)
    finally:
        await ways.aclose()


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    async with ExchangeSimulator(seed=SEED, minute=0.05) as simulator:
        yield simulator


@pytest.fixture
async def client(exchange: ExchangeSimulator) -> AsyncIterator[ExchangeClient]:
    async with connected(exchange) as client:
        yield client


async def read(client: ExchangeClient, mailbox: str = ANNA) -> Reading:
    return await client.read(mailbox, START, END)


async def refused(client: ExchangeClient, mailbox: str = ANNA) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        await read(client, mailbox)
    return caught.value


async def test_reads_48_hours_in_one_request(exchange: ExchangeSimulator, client: ExchangeClient) -> None:
    reading = await read(client)
    assert [item.subject for item in reading.appointments] == ["Standup", "Review", "Holiday", "Standup"]
    standup, review, holiday, _ = reading.appointments
    assert standup.show_as is ShowAs.TENTATIVE
    assert standup.sensitivity is Sensitivity.PRIVATE
    assert (review.response, review.organizer) == (Response.ACCEPT, "")
    assert (holiday.all_day, holiday.show_as) == (True, ShowAs.OUT_OF_OFFICE)
    assert (reading.complete, reading.skipped, reading.unknown) == (True, 1, 0)
    assert reading.server_version == "15.2.1748.10"
    assert len({item.id for item in reading.appointments}) == 4
    assert exchange.statistics.operations == {"FindItem": 1}
    assert [item.id for item in (await read(client)).appointments] == [
        item.id for item in reading.appointments
    ]


async def test_reads_what_the_simulated_calendar_holds(
    exchange: ExchangeSimulator, client: ExchangeClient
) -> None:
    reading = await read(client)
    expected = [entry for entry in exchange.expand(ANNA, START, END) if entry["subject"] != "Endless"]
    found = {
        (reading.sources[item.id].item_id, reading.sources[item.id].uid, item.subject, item.start, item.end)
        for item in reading.appointments
    }
    assert found == {
        (
            entry["item_id"],
            entry["uid"],
            entry["subject"],
            datetime.fromisoformat(entry["start"]),
            datetime.fromisoformat(entry["end"]),
        )
        for entry in expected
    }


async def test_reads_a_crowded_calendar_in_parts(exchange: ExchangeSimulator, client: ExchangeClient) -> None:
    for minute in range(1100):
        begin = START + timedelta(minutes=2 * minute)
        exchange.add_appointment(BOB, start=begin, end=begin + timedelta(minutes=1), subject=str(minute))
    reading = await read(client, BOB)
    assert reading.complete
    assert sorted(int(item.subject) for item in reading.appointments) == list(range(1100))
    assert exchange.statistics.operations["FindItem"] == 3


async def test_exchange_finds_every_question_valid() -> None:
    schemas = Path(__file__).parents[3] / "shared" / "ews" / "xsd"
    if not schemas.is_dir():
        pytest.skip("needs Microsoft's EWS schemas in ../shared/ews/xsd, beside the checkout")
    async with ExchangeSimulator(seed=SEED, xsd_dir=schemas) as exchange, connected(exchange) as client:
        reading = await read(client)
        await client.organizers(ANNA, [source.item_id for source in reading.sources.values()])
        await client.resolve(ANNA, ANNA)
        await client.subscribe(ANNA, "https://f.example.com/n?s=a&t=b", 30)
        assert "ErrorSchemaValidation" not in exchange.statistics.codes
        assert sum(exchange.statistics.operations.values()) == 4


async def test_finds_the_organizers_address(client: ExchangeClient) -> None:
    reading = await read(client)
    review = next(item for item in reading.appointments if item.subject == "Review")
    item_id = reading.sources[review.id].item_id
    assert await client.organizers(ANNA, [item_id]) == {item_id: BOB}


@pytest.mark.parametrize("address", [ANNA, "A.Miller@example.com"])
async def test_resolves_primary_and_alias(client: ExchangeClient, address: str) -> None:
    match = choose(await client.resolve(address, None), address)
    assert match is not None
    assert match.primary == ANNA


@pytest.mark.parametrize("address", ["nobody@example.com", "group@example.com", "anna@example.co"])
async def test_resolves_no_other(client: ExchangeClient, address: str) -> None:
    assert choose(await client.resolve(address, None), address) is None


async def test_a_candidate_resolves_itself_by_its_primary_address(client: ExchangeClient) -> None:
    assert choose(await client.resolve(ANNA, ANNA), ANNA) is not None
    with pytest.raises(MailboxError) as caught:
        await client.resolve("a.miller@example.com", "a.miller@example.com")
    assert caught.value.code == "ErrorNonExistentMailbox"


async def test_a_connection_signs_in_once(exchange: ExchangeSimulator, client: ExchangeClient) -> None:
    for _ in range(5):
        await read(client)
    assert (exchange.statistics.sign_ins, exchange.statistics.connections) == (1, 1)
    assert exchange.statistics.requests == 6


async def test_mailboxes_are_read_side_by_side(exchange: ExchangeSimulator) -> None:
    exchange.add_fault("delay", seconds=0.05)
    async with connected(exchange, lanes=4) as client:
        await asyncio.gather(*(read(client, mailbox) for mailbox in (ANNA, BOB) * 8))
    assert exchange.statistics.max_concurrent == 4
    assert exchange.statistics.sign_ins == 4
    assert exchange.statistics.missing_anchors == 0
    assert exchange.statistics.foreign_cookies == 0


async def test_a_wrong_password_is_tried_once_with_and_once_without_binding(
    exchange: ExchangeSimulator,
) -> None:
    async with connected(exchange, password="wrong", lanes=4) as client:
        errors = await asyncio.gather(*(refused(client) for _ in range(6)))
    assert {type(error) for error in errors} == {SignInRefused}
    assert exchange.statistics.refused_sign_ins == 2


@pytest.mark.parametrize("setting", ["auto", "on"])
async def test_binds_to_tls_where_that_is_required(setting: ChannelBinding) -> None:
    async with ExchangeSimulator(seed=SEED, extended_protection="require") as exchange:
        async with connected(exchange, channel_binding=setting) as client:
            assert (await read(client)).complete
        assert exchange.statistics.refused_sign_ins == 0


async def test_without_a_binding_extended_protection_refuses() -> None:
    async with ExchangeSimulator(seed=SEED, extended_protection="require") as exchange:
        async with connected(exchange, channel_binding="off") as client:
            assert type(await refused(client)) is SignInRefused
        assert exchange.statistics.refused_sign_ins == 1


async def test_a_foreign_certificate_gets_no_credentials(exchange: ExchangeSimulator) -> None:
    other = trustme.CA().cert_pem.bytes().decode()
    lanes = NtlmLanes(exchange.user, exchange.password, tls_context(other), lanes=1)
    error = await refused(ExchangeClient(exchange.ews_url, lanes))
    assert (type(error), error.code) == (ExchangeUnavailable, "Certificate")
    named = exchange.ews_url.replace("localhost", "127.0.0.2")
    trusted = NtlmLanes(exchange.user, exchange.password, tls_context(exchange.ca_pem.decode()), lanes=1)
    assert isinstance(await refused(ExchangeClient(named, trusted)), ExchangeUnavailable)
    assert exchange.statistics.requests == 0


async def test_a_server_that_is_gone_is_unavailable(
    exchange: ExchangeSimulator, client: ExchangeClient
) -> None:
    await read(client)
    await exchange.__aexit__(None, None, None)
    error = await refused(client)
    assert (type(error), error.code) == (ExchangeUnavailable, "NoConnection")


@pytest.mark.parametrize(
    ("mailbox", "code"),
    [("nobody@example.com", "ErrorNonExistentMailbox"), ("denied@example.com", "ErrorImpersonateUserDenied")],
)
async def test_one_mailbox_fails_alone(client: ExchangeClient, mailbox: str, code: str) -> None:
    error = await refused(client, mailbox)
    assert (type(error), error.code) == (MailboxError, code)
    assert (await read(client)).complete


@pytest.mark.parametrize(
    ("fault", "kind", "code", "wait"),
    [
        ({"kind": "status", "status": 503, "retry_after": 7}, ExchangeBusy, "HTTP 503", 7),
        ({"kind": "status", "status": 500}, ExchangeUnavailable, "HTTP 500", 30),
        ({"kind": "status", "status": 403}, ExchangeUnavailable, "HTTP 403", 900),
        ({"kind": "login_page"}, ExchangeUnavailable, "WebPage", 300),
        ({"kind": "soap", "code": "ErrorServerBusy", "back_off": 5000}, ExchangeBusy, "ErrorServerBusy", 5),
        ({"kind": "soap", "code": "ErrorADUnavailable"}, ExchangeUnavailable, "ErrorADUnavailable", 60),
        ({"kind": "response", "code": "ErrorServerBusy"}, ExchangeBusy, "ErrorServerBusy", 10),
        (
            {"kind": "response", "code": "ErrorInternalServerError", "inner_code": "ErrorServerBusy"},
            ExchangeBusy,
            "ErrorServerBusy",
            10,
        ),
        (
            {"kind": "response", "code": "ErrorMailboxMoveInProgress"},
            MailboxError,
            "ErrorMailboxMoveInProgress",
            300,
        ),
        ({"kind": "broken"}, MailboxError, "Unreadable", 60),
    ],
)
async def test_a_fault_is_told_and_over_when_it_is_over(
    exchange: ExchangeSimulator,
    client: ExchangeClient,
    fault: dict[str, Any],
    kind: type[ExchangeError],
    code: str,
    wait: int,
) -> None:
    exchange.add_fault(**fault)
    error = await refused(client)
    assert (type(error), error.code, error.retry_after) == (kind, code, timedelta(seconds=wait))
    exchange.remove_faults()
    assert (await read(client)).complete


async def test_forbidden_characters_are_left_out(exchange: ExchangeSimulator, client: ExchangeClient) -> None:
    exchange.add_fault("illegal")
    reading = await read(client)
    assert {item.subject for item in reading.appointments} == {"Review", "Standup", "Holiday"}


async def test_a_broken_connection_is_replaced(exchange: ExchangeSimulator, client: ExchangeClient) -> None:
    await read(client)
    exchange.add_fault("close", times=1)
    assert (await read(client)).complete
    assert exchange.statistics.connections == 2
    exchange.add_fault("close", times=2)
    error = await refused(client)
    assert (type(error), error.code) == (ExchangeUnavailable, "ConnectionLost")


async def test_no_answer_is_waited_for_in_vain(
    exchange: ExchangeSimulator, client: ExchangeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "DEADLINE", timedelta(seconds=0.2))
    exchange.add_fault("hang", times=1)
    error = await refused(client)
    assert (type(error), error.code) == (MailboxError, "Timeout")
    assert (await read(client)).complete


class Callback:
    """Where Exchange sends its notifications."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Notification] = asyncio.Queue()
        self.keep = True

    async def handle(self, request: web.Request) -> web.Response:
        for message in parse_notifications(await request.read()):
            self.received.put_nowait(message)
        return web.Response(
            body=notification_result(keep=self.keep), content_type="text/xml", charset="utf-8"
        )

    async def next(self) -> Notification:
        return await asyncio.wait_for(self.received.get(), 60)


@pytest.fixture
async def callback() -> AsyncIterator[tuple[Callback, str]]:
    target = Callback()
    application = web.Application()
    application.router.add_post("/notify/{user}", target.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield target, f"http://127.0.0.1:{runner.addresses[0][1]}/notify/anna?s=secret&n=1"
    await runner.cleanup()


async def test_a_subscription_tells_of_changes_until_it_is_ended(
    exchange: ExchangeSimulator, client: ExchangeClient, callback: tuple[Callback, str]
) -> None:
    target, url = callback
    subscription = await client.subscribe(ANNA, url, 1440)
    assert subscription.watermark
    exchange.add_appointment(ANNA, start="2026-11-22T18:00", subject="New")
    message = await target.next()
    assert message.subscription_id == subscription.id
    assert message.previous_watermark == subscription.watermark
    assert "CreatedEvent" in message.events
    assert message.error is None
    target.keep = False
    exchange.add_appointment(ANNA, start="2026-11-22T19:00", subject="Newer")
    second = await target.next()
    assert second.previous_watermark == message.watermark
    for _ in range(100):
        if not list(exchange.subscriptions):
            break
        await asyncio.sleep(0.02)
    assert not list(exchange.subscriptions)


async def test_a_quiet_subscription_sends_its_heartbeat(
    client: ExchangeClient, callback: tuple[Callback, str]
) -> None:
    target, url = callback
    subscription = await client.subscribe(ANNA, url, 1)
    message = await target.next()
    assert (message.subscription_id, message.events) == (subscription.id, ("StatusEvent",))


async def test_too_many_subscriptions_are_this_mailboxs_failure(callback: tuple[Callback, str]) -> None:
    async with ExchangeSimulator(seed=SEED, subscription_limit=1) as exchange, connected(exchange) as client:
        await client.subscribe(ANNA, callback[1], 30)
        with pytest.raises(MailboxError) as caught:
            await client.subscribe(ANNA, callback[1], 30)
        assert caught.value.code == "ErrorExceededSubscriptionCount"
