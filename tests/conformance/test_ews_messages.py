"""Every message this software builds is valid by Microsoft's own schemas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from dev.exchange.xsd import load_schema
from shared.ews import requests

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

XSD = Path(__file__).parents[3] / "shared" / "ews" / "xsd"
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
TYPES = "{http://schemas.microsoft.com/exchange/services/2006/types}"
MESSAGES = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
START = datetime(2026, 11, 22, tzinfo=UTC)
END = START + timedelta(hours=48)


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    if not XSD.is_dir():
        pytest.skip("needs Microsoft's EWS schemas in ../shared/ews/xsd, beside the checkout")
    return load_schema(XSD)


def check(schema: etree.XMLSchema, message: bytes) -> etree._Element:
    """Validate header and body of an envelope; return the message in its body."""
    envelope = etree.fromstring(message)
    assert envelope.tag == f"{SOAP}Envelope"
    assert [part.tag for part in envelope] in ([f"{SOAP}Header", f"{SOAP}Body"], [f"{SOAP}Body"])
    for header in envelope.iterfind(f"{SOAP}Header/*"):
        schema.assertValid(etree.fromstring(etree.tostring(header)))
    (body,) = envelope.iterfind(f"{SOAP}Body/*")
    schema.assertValid(etree.fromstring(etree.tostring(body)))
    return body


def test_the_schemas_refuse_what_is_wrong(schema: etree.XMLSchema) -> None:
    wrong = requests.find_item("a@example.com", START, END).replace(b"Shallow", b"Deepest")
    with pytest.raises(etree.DocumentInvalid):
        check(schema, wrong)
    header = requests.find_item("a@example.com", START, END).replace(b"Exchange2013_SP1", b"Exchange1999")
    with pytest.raises(etree.DocumentInvalid):
        check(schema, header)


def test_find_item(schema: etree.XMLSchema) -> None:
    message = requests.find_item("anna@example.com", START, END)
    body = check(schema, message)
    assert body.tag == f"{MESSAGES}FindItem"
    assert body.get("Traversal") == "Shallow"
    assert body.findtext(f".//{TYPES}BaseShape") == "IdOnly"
    assert {field.get("FieldURI", "").partition(":")[2] for field in body.iter(f"{TYPES}FieldURI")} == {
        "Subject",
        "Sensitivity",
        "Start",
        "End",
        "IsAllDayEvent",
        "LegacyFreeBusyStatus",
        "IsCancelled",
        "CalendarItemType",
        "MyResponseType",
        "Organizer",
        "UID",
    }
    view = body.find(f"{MESSAGES}CalendarView")
    assert view is not None
    assert {str(name): value for name, value in view.attrib.items()} == {
        "MaxEntriesReturned": "1000",
        "StartDate": "2026-11-22T00:00:00Z",
        "EndDate": "2026-11-24T00:00:00Z",
    }
    (folder,) = body.iter(f"{TYPES}DistinguishedFolderId")
    assert folder.get("Id") == "calendar"
    header = etree.fromstring(message).find(f"{SOAP}Header")
    assert header is not None
    assert [element.tag for element in header] == [
        f"{TYPES}RequestServerVersion",
        f"{TYPES}ExchangeImpersonation",
    ]
    assert header[0].get("Version") == "Exchange2013_SP1"
    assert header.findtext(f".//{TYPES}PrimarySmtpAddress") == "anna@example.com"


def test_get_organizers(schema: etree.XMLSchema) -> None:
    body = check(schema, requests.get_organizers("anna@example.com", ["AAMk+/=", "b&c"]))
    assert body.tag == f"{MESSAGES}GetItem"
    assert [item.get("Id") for item in body.iter(f"{TYPES}ItemId")] == ["AAMk+/=", "b&c"]
    assert [field.get("FieldURI") for field in body.iter(f"{TYPES}FieldURI")] == ["calendar:Organizer"]


@pytest.mark.parametrize("impersonate", [None, "anna@example.com"])
def test_resolve_names(schema: etree.XMLSchema, impersonate: str | None) -> None:
    message = requests.resolve_names("o'hara&co@example.com", impersonate)
    body = check(schema, message)
    assert body.tag == f"{MESSAGES}ResolveNames"
    assert {str(name): value for name, value in body.attrib.items()} == {
        "ReturnFullContactData": "true",
        "SearchScope": "ActiveDirectory",
    }
    assert body.findtext(f"{MESSAGES}UnresolvedEntry") == "smtp:o'hara&co@example.com"
    assert etree.fromstring(message).findtext(f".//{TYPES}PrimarySmtpAddress") == impersonate


@CALM
@given(
    minutes=st.integers(1, 1440), query=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]))
)
def test_subscribe(schema: etree.XMLSchema, minutes: int, query: str) -> None:
    url = f"https://f.example/n?{query}"
    body = check(schema, requests.subscribe("anna@example.com", url, minutes))
    request = body.find(f"{MESSAGES}PushSubscriptionRequest")
    assert request is not None
    assert [etree.QName(child).localname for child in request] == [
        "FolderIds",
        "EventTypes",
        "StatusFrequency",
        "URL",
    ]
    assert {child.tag.partition("}")[0] + "}" for child in request} == {TYPES}
    assert [event.text for event in request.iter(f"{TYPES}EventType")] == [
        "CreatedEvent",
        "ModifiedEvent",
        "DeletedEvent",
        "MovedEvent",
    ]
    assert request.findtext(f"{TYPES}StatusFrequency") == str(minutes)
    assert request.findtext(f"{TYPES}URL") == url


@pytest.mark.parametrize(("keep", "status"), [(True, "OK"), (False, "Unsubscribe")])
def test_notification_result(schema: etree.XMLSchema, keep: bool, status: str) -> None:
    body = check(schema, requests.notification_result(keep=keep))
    assert body.tag == f"{MESSAGES}SendNotificationResult"
    assert body.findtext(f"{MESSAGES}SubscriptionStatus") == status


@CALM
@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_whole_seconds_of_utc(moment: datetime) -> None:
    assert datetime.fromisoformat(requests.instant(moment)) == moment.replace(microsecond=0)
    assert len(requests.instant(moment)) == 20
