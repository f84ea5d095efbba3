"""The simulated Exchange judged by others: Microsoft's schemas, and exchangelib as a foreign client."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import exchangelib  # type: ignore[import-untyped]
import pytest
from exchangelib import EWSDateTime
from exchangelib.services import SendNotification  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from dev.exchange import ExchangeSimulator
from dev.exchange.schema import GRAMMAR, check
from dev.exchange.soap import TEXTS, ServerFault
from tests.conformance.exchange_foreign_client import connect
from tests.conformance.exchange_schema import FOLDER, complaints, microsofts_schema, response_codes
from tests.unit.dev.exchange.client import (
    Client,
    M,
    T,
    code,
    envelope,
    find_item,
    get_item,
    resolve_names,
    subscribe,
)
from tests.unit.dev.exchange.conftest import SEED, Listener, listener

__all__ = ["listener"]

WINDOW = ("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")
URL = "https://func.example.com/notify?a=b"
FOLDER_SHAPE = "<m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape>"
ROOT = '<t:DistinguishedFolderId Id="root"/>'
ALL_PROPERTIES = find_item(*WINDOW).replace("IdOnly", "AllProperties")
REQUESTS = {
    "FindItem": find_item(*WINDOW),
    "FindItem with all properties": ALL_PROPERTIES,
    "FindItem with default properties": find_item(*WINDOW).replace("IdOnly", "Default"),
    "FindItem cut off": find_item(*WINDOW, most=1),
    "FindItem of nothing": find_item("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"),
    "FindItem over five years": find_item("2020-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    "FindItem backwards": find_item(*reversed(WINDOW)),
    "FindItem in the inbox": find_item(*WINDOW, folder='<t:DistinguishedFolderId Id="inbox"/>'),
    "GetItem of a malformed id": get_item("!"),
    "ResolveNames of one": resolve_names("smtp:a.miller@example.com"),
    "ResolveNames of several": resolve_names("smtp:bob"),
    "ResolveNames of none": resolve_names("smtp:nobody"),
    "ResolveNames of a group": resolve_names("smtp:team"),
    "Subscribe": subscribe(URL),
    "Subscribe with a watermark": subscribe(URL, watermark="AQ=="),
    "Subscribe to nowhere": subscribe("nowhere"),
    "Unsubscribe": "<m:Unsubscribe><m:SubscriptionId>AAMk</m:SubscriptionId></m:Unsubscribe>",
    "GetFolder": f"<m:GetFolder>{FOLDER_SHAPE}<m:FolderIds>{ROOT}"
    '<t:DistinguishedFolderId Id="calendar"/><t:DistinguishedFolderId Id="tasks"/></m:FolderIds>'
    "</m:GetFolder>",
    "FindFolder": f'<m:FindFolder Traversal="Deep">{FOLDER_SHAPE}'
    f"<m:ParentFolderIds>{ROOT}</m:ParentFolderIds></m:FindFolder>",
    "SyncFolderHierarchy": f"<m:SyncFolderHierarchy>{FOLDER_SHAPE}"
    f"<m:SyncFolderId>{ROOT}</m:SyncFolderId></m:SyncFolderHierarchy>",
    "ConvertId": '<m:ConvertId DestinationFormat="EntryId"><m:SourceIds>'
    '<t:AlternateId Format="EwsId" Id="x" Mailbox="y"/></m:SourceIds></m:ConvertId>',
}


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeSimulator]:
    async with ExchangeSimulator(seed=SEED) as simulator:
        for shown in ("free", "tentative", "busy", "out_of_office", "working_elsewhere", "no_data"):
            simulator.add_appointment(
                "anna", start="2026-11-23T10:00", show_as=shown, organizer="bob@example.com"
            )
        for private in ("personal", "private", "confidential"):
            simulator.add_appointment(
                "anna", start="2026-11-23T10:00", sensitivity=private, organizer="visitor@example.org"
            )
        for response in ("unknown", "organizer", "tentative", "accept", "decline", "no_response"):
            simulator.add_appointment("anna", start="2026-11-23T10:00", response=response, cancelled=True)
        omit = ["subject", "organizer", "uid", "start", "end"]
        simulator.add_appointment("anna", start="2026-11-22", all_day=True, omit=omit)
        series = simulator.add_appointment("anna", start="2026-11-01T08:00", repeat={"every": "day"})
        simulator.change_appointment("anna", f"{series['id']}@2026-11-23", subject="Changed & <moved>", by=30)
        yield simulator


@pytest.fixture
async def client(exchange: ExchangeSimulator) -> AsyncIterator[Client]:
    async with Client(exchange) as connected:
        yield connected


async def test_every_answer_is_valid(client: Client) -> None:
    schema = microsofts_schema()
    for name, body in REQUESTS.items():
        answer = await client.ask(body)
        assert code(answer) is not None, name
        assert complaints(answer, schema) == [], name


async def test_every_item_is_valid(exchange: ExchangeSimulator, client: Client) -> None:
    schema = microsofts_schema()
    found = [
        item.find(f"{T}ItemId") for item in (await client.ask(find_item(*WINDOW))).iter(f"{T}CalendarItem")
    ]
    identifiers = [str(element.get("Id")) for element in found if element is not None]
    assert len(identifiers) == 18
    request = get_item(*identifiers, exchange.directory.named("anna").opaque_id("16"))
    answer = await client.ask(request.replace("IdOnly", "AllProperties"))
    assert [element.text for element in answer.iter(f"{M}ResponseCode")] == ["NoError"] * 19
    assert complaints(answer, schema) == []


@pytest.mark.parametrize("inner", [None, "ErrorServerBusy"])
async def test_every_scripted_error_is_valid(
    exchange: ExchangeSimulator, client: Client, inner: str | None
) -> None:
    schema = microsofts_schema()
    exchange.add_fault("response", code="ErrorInternalServerError", inner_code=inner)
    for name, body in REQUESTS.items():
        answer = await client.ask(body)
        assert code(answer) == "ErrorInternalServerError"
        assert complaints(answer, schema) == [], name


async def test_every_notification_is_valid(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    schema = microsofts_schema()
    kinds = "CreatedEvent ModifiedEvent DeletedEvent MovedEvent FreeBusyChangedEvent"
    await client.ask(subscribe(listener.url, events=kinds, frequency=1440))
    added = exchange.add_appointment("anna", start="2026-11-23T10:00")["id"]
    await listener.wait_for(1)
    exchange.change_appointment("anna", added, by=15)
    await listener.wait_for(2)
    exchange.cancel_appointment("anna", added)
    await listener.wait_for(3)
    exchange.subscriptions.send_heartbeats()
    for notification in await listener.wait_for(4):
        assert complaints(notification, schema) == []


async def test_an_error_notification_lacks_only_what_microsofts_own_example_lacks(
    exchange: ExchangeSimulator, client: Client, listener: Listener
) -> None:
    schema = microsofts_schema()
    await client.ask(subscribe(listener.url, frequency=1440))
    exchange.subscriptions.send_errors("ErrorReadEventsFailed")
    (notification,) = await listener.wait_for(1)
    (complaint,) = complaints(notification, schema)
    assert "Missing child element(s)" in complaint
    assert "Notification )" in complaint


def test_every_error_that_the_simulator_knows_is_one_of_microsofts() -> None:
    codes = {*TEXTS, "ErrorInvalidRequest", "ErrorInvalidPagingMaxRows", "ErrorInvalidSubscriptionRequest"}
    assert codes <= response_codes()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_requests_here_are_valid(name: str) -> None:
    assert complaints(etree.fromstring(envelope(REQUESTS[name]).encode()), microsofts_schema()) == []


TAGS = sorted(GRAMMAR)


@st.composite
def damaged_requests(draw: st.DrawFn) -> etree._Element:
    """A request with one thing done to it that may or may not matter."""
    body = draw(st.sampled_from(sorted(REQUESTS.values())))
    root = etree.fromstring(envelope(body).encode())[1][0]
    element = draw(st.sampled_from([*root.iter()]))
    parent = element.getparent()
    match draw(
        st.sampled_from(("rename", "remove", "repeat", "move", "text", "attribute", "strip", "adopt"))
    ):
        case "rename" if element is not root:
            element.tag = draw(st.sampled_from(TAGS))
        case "remove" if element is not root and parent is not None:
            parent.remove(element)
        case "repeat" if element is not root and parent is not None:
            parent.append(copy.deepcopy(element))
        case "move" if element is not root and parent is not None:
            parent.insert(draw(st.integers(0, len(parent))), element)
        case "text":
            element.text = draw(st.sampled_from(("", "x", "30", "0", "true", "IdOnly", "CreatedEvent")))
        case "attribute":
            names = ("Id", "Traversal", "FieldURI", "StartDate", "MaxEntriesReturned", "SearchScope", "Other")
            values = ("", "1", "Shallow", "calendar", "item:Subject", "2026-11-22T00:00:00Z", "2026-02-30")
            element.set(draw(st.sampled_from(names)), draw(st.sampled_from(values)))
        case "strip" if element.attrib:
            del element.attrib[draw(st.sampled_from(sorted(map(str, element.attrib))))]
        case "adopt":
            element.append(etree.Element(draw(st.sampled_from(TAGS))))
    return etree.fromstring(etree.tostring(root))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged_requests())
def test_the_simulator_refuses_exactly_what_microsofts_schema_refuses(root: etree._Element) -> None:
    schema = microsofts_schema()
    try:
        check(root)
        accepted = True
    except ServerFault:
        accepted = False
    assert accepted is schema.validate(root), etree.tostring(root).decode()


async def test_the_schemas_can_judge_every_request_too() -> None:
    microsofts_schema()
    async with ExchangeSimulator(seed=SEED, xsd_dir=FOLDER) as strict, Client(strict) as client:
        assert code(await client.ask(find_item(*WINDOW))) == "NoError"


# What follows is exchangelib's view. It blocks, so it runs in a thread of its own.


@pytest.fixture
def account(
    exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[exchangelib.Account]:
    connected = connect(exchange, monkeypatch, tmp_path)
    yield connected
    connected.protocol.close()


def view(account: exchangelib.Account) -> list[exchangelib.CalendarItem]:
    start, end = (EWSDateTime.from_string(instant) for instant in WINDOW)
    return list(account.calendar.view(start=start, end=end))


async def test_exchangelib_reads_what_the_calendar_holds(
    exchange: ExchangeSimulator, account: exchangelib.Account
) -> None:
    found = await asyncio.to_thread(view, account)
    timed = [item for item in found if item.start is not None and not item.is_all_day]
    start, end = (datetime.fromisoformat(instant) for instant in WINDOW)
    expected = [entry for entry in exchange.expand("anna", start, end) if not entry["all_day"]]
    assert len(found) == len(expected) + 1
    assert sorted((item.subject or "", item.start, item.end, item.uid) for item in timed) == sorted(
        (
            entry["subject"],
            EWSDateTime.from_string(entry["start"]),
            EWSDateTime.from_string(entry["end"]),
            entry["uid"],
        )
        for entry in expected
    )
    assert {item.legacy_free_busy_status for item in timed} == {
        "Free",
        "Tentative",
        "Busy",
        "OOF",
        "WorkingElsewhere",
        "NoData",
    }
    assert {item.sensitivity for item in timed} == {"Normal", "Personal", "Private", "Confidential"}
    organizers = {item.organizer.email_address for item in timed}
    assert organizers == {"anna@example.com", "bob@example.com", "visitor@example.org"}
    assert exchange.statistics.missing_anchors == 0
    assert exchange.statistics.sign_ins == 1


async def test_exchangelib_learns_the_version(account: exchangelib.Account) -> None:
    version = await asyncio.to_thread(lambda: account.protocol.version)
    assert str(version.build) == "15.2.1748.10"


async def test_exchangelib_resolves_names(account: exchangelib.Account) -> None:
    def resolve(entry: str) -> list[Any]:
        assert account.protocol.version, "exchangelib must know it before it can read contact data"
        found: list[Any] = account.protocol.resolve_names(
            [entry], return_full_contact_data=True, search_scope="ActiveDirectory"
        )
        return found

    ((mailbox, contact),) = await asyncio.to_thread(resolve, "smtp:a.miller@example.com")
    assert (mailbox.email_address, mailbox.mailbox_type) == ("anna@example.com", "Mailbox")
    assert [entry.email for entry in contact.email_addresses] == [
        "SMTP:anna@example.com",
        "smtp:a.miller@example.com",
    ]
    several = await asyncio.to_thread(resolve, "smtp:bob")
    assert [mailbox.email_address for mailbox, _ in several] == ["bob@example.com", "bobby@example.com"]
    (none,) = await asyncio.to_thread(resolve, "smtp:nobody@example.com")
    assert isinstance(none, exchangelib.errors.ErrorNameResolutionNoResults)


async def test_exchangelib_subscribes_and_reads_notifications(
    exchange: ExchangeSimulator, account: exchangelib.Account, listener: Listener
) -> None:
    kinds = ["CreatedEvent", "ModifiedEvent", "MovedEvent", "DeletedEvent"]
    identifier, watermark = await asyncio.to_thread(
        lambda: account.calendar.subscribe_to_push(listener.url, event_types=kinds, status_frequency=1440)
    )
    added = exchange.add_appointment("anna", start="2026-11-23T10:00")
    await listener.wait_for(1)
    exchange.cancel_appointment("anna", added["id"])
    await listener.wait_for(2)
    exchange.subscriptions.send_heartbeats()
    await listener.wait_for(3)
    for body, expected in zip(
        listener.received,
        (["CreatedEvent", "ModifiedEvent"], ["MovedEvent", "ModifiedEvent"], ["StatusEvent"]),
        strict=True,
    ):
        (notification,) = SendNotification(protocol=None).parse(body)
        assert notification.subscription_id == identifier
        assert notification.previous_watermark == watermark
        assert [type(event).__name__ for event in notification.events] == expected
        watermark = notification.events[-1].watermark
    created = next(SendNotification(protocol=None).parse(listener.received[0])).events[0]
    assert created.item_id.id == added["item_id"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("ceo@example.com", exchangelib.errors.ErrorImpersonateUserDenied),
        ("a.miller@example.com", exchangelib.errors.ErrorNonExistentMailbox),
    ],
)
async def test_exchangelib_understands_why_it_may_not_impersonate(
    exchange: ExchangeSimulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    error: type[Exception],
) -> None:
    account = connect(exchange, monkeypatch, tmp_path, address=address)
    with pytest.raises(error):
        await asyncio.to_thread(view, account)
    account.protocol.close()


async def test_exchangelib_is_turned_away_with_a_wrong_password(
    exchange: ExchangeSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = connect(exchange, monkeypatch, tmp_path, password="wrong")
    with pytest.raises(exchangelib.errors.UnauthorizedError):
        await asyncio.to_thread(view, account)
    account.protocol.close()
    assert exchange.statistics.sign_ins == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "soap", "code": "ErrorServerBusy", "back_off": 5000}, exchangelib.errors.ErrorServerBusy),
        (
            {"kind": "response", "code": "ErrorMailboxMoveInProgress"},
            exchangelib.errors.ErrorMailboxMoveInProgress,
        ),
        ({"kind": "status", "status": 503}, exchangelib.errors.TransportError),
    ],
)
async def test_exchangelib_recognizes_faults(
    exchange: ExchangeSimulator, account: exchangelib.Account, fault: dict[str, Any], error: type[Exception]
) -> None:
    await asyncio.to_thread(view, account)
    exchange.add_fault(**fault)
    with pytest.raises(error):
        await asyncio.to_thread(view, account)
