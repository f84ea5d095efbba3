"""What the simulator refuses before it looks into a mailbox."""

from __future__ import annotations

import pytest
from lxml import etree

from dev.exchange.schema import read_request
from dev.exchange.soap import ServerFault
from tests.unit.dev.exchange.client import envelope, find_item, get_item, resolve_names, subscribe

FIND = find_item("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z")
SUBSCRIBE = subscribe("https://func.example.com/notify?a=b")


def refusal(text: str) -> ServerFault:
    with pytest.raises(ServerFault) as raised:
        read_request(text.encode())
    return raised.value


@pytest.mark.parametrize(
    "body",
    [
        FIND,
        find_item("2026-11-22T00:00:00+01:00", "2026-11-24T00:00:00.000", most=None),
        get_item("AAMk=", "AAMl="),
        resolve_names("smtp:anna@example.com"),
        SUBSCRIBE,
        "<m:Unsubscribe><m:SubscriptionId>AAMk=</m:SubscriptionId></m:Unsubscribe>",
    ],
)
def test_good_requests_are_read(body: str) -> None:
    request = read_request(envelope(body).encode())
    assert request.identity == ("PrimarySmtpAddress", "anna@example.com")
    assert body.startswith(f"<m:{request.operation}")
    assert request.version == "Exchange2013_SP1"


def test_without_headers_a_request_has_neither_identity_nor_version() -> None:
    request = read_request(envelope(FIND, who=None, version=None).encode())
    assert (request.identity, request.version) == (None, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # order
        (
            "<t:BaseShape>IdOnly</t:BaseShape>",
            "<t:AdditionalProperties><t:FieldURI FieldURI='item:Subject'/></t:AdditionalProperties>"
            "<t:BaseShape>IdOnly</t:BaseShape>",
        ),
        # namespaces
        ("m:ItemShape>", "t:ItemShape>"),
        ("m:CalendarView", "t:CalendarView"),
        ("<t:BaseShape>IdOnly</t:BaseShape>", "<m:BaseShape>IdOnly</m:BaseShape>"),
        # attributes and values
        (' Traversal="Shallow"', ""),
        ('"Shallow"', '"shallow"'),
        ("IdOnly", "Everything"),
        ("item:Subject", "item:Title"),
        ("calendar:UID", "Calendar:UID"),
        ('StartDate="2026-11-22T00:00:00Z"', ""),
        ('StartDate="2026-11-22T00:00:00Z"', 'StartDate="2026-11-22"'),
        ('StartDate="2026-11-22T00:00:00Z"', 'StartDate="2026-11-22 00:00:00Z"'),
        ('MaxEntriesReturned="1000"', 'MaxEntriesReturned="many"'),
        ('MaxEntriesReturned="1000"', 'MaxEntries="1000"'),
        ('Id="calendar"', 'Id="Calendar"'),
        # what is missing or too much
        ("<t:BaseShape>IdOnly</t:BaseShape>", ""),
        ('<t:DistinguishedFolderId Id="calendar"/>', ""),
        ("<m:ParentFolderIds>", "<m:ParentFolderIds/><m:ParentFolderIds>"),
        ("<m:ParentFolderIds>", "text<m:ParentFolderIds>"),
        ('<t:FieldURI FieldURI="item:Subject"/>', '<t:FieldURI FieldURI="item:Subject">x</t:FieldURI>'),
        # the envelope
        ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"),
        ("</soap:Body>", f"{SUBSCRIBE}</soap:Body>"),
        ("<t:ConnectingSID>", "<t:ConnectingSID><t:SID>S-1</t:SID>"),
        ("t:PrimarySmtpAddress>", "t:PrimaryAddress>"),
        ("t:ExchangeImpersonation>", "m:ExchangeImpersonation>"),
        ('<?xml version="1.0" encoding="utf-8"?>', "<!DOCTYPE soap:Envelope [<!ENTITY a 'b'>]>"),
    ],
)
def test_what_the_schema_forbids_is_refused(old: str, new: str) -> None:
    good = envelope(FIND)
    assert old in good
    bad = good.replace(old, new)
    assert etree.fromstring(bad.encode()) is not None, "it must be well-formed XML, or it proves nothing"
    assert refusal(bad).code == "ErrorSchemaValidation"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<t:StatusFrequency>30</t:StatusFrequency>", ""),
        (">30<", ">0<"),
        (">30<", ">1441<"),
        (">30<", ">often<"),
        ("CreatedEvent", "RenamedEvent"),
        ("CreatedEvent", "StatusEvent"),
        ("t:URL>", "m:URL>"),
        ("<t:EventTypes>", "<t:Watermark>AQ==</t:Watermark><t:EventTypes>"),
    ],
)
def test_a_subscription_must_be_as_the_schema_says(old: str, new: str) -> None:
    assert old in SUBSCRIBE
    bad = envelope(SUBSCRIBE.replace(old, new))
    assert etree.fromstring(bad.encode()) is not None, "it must be well-formed XML, or it proves nothing"
    assert refusal(bad).code == "ErrorSchemaValidation"


def test_the_url_and_status_frequency_have_an_order() -> None:
    url, frequency = (
        "<t:URL>https://func.example.com/notify?a=b</t:URL>",
        "<t:StatusFrequency>30</t:StatusFrequency>",
    )
    bad = SUBSCRIBE.replace(frequency + url, url + frequency)
    assert bad != SUBSCRIBE
    assert refusal(envelope(bad)).code == "ErrorSchemaValidation"


def test_an_address_for_each_of_two_names_is_one_too_many() -> None:
    twice = resolve_names("smtp:anna").replace(
        "</m:ResolveNames>", "<m:UnresolvedEntry>b</m:UnresolvedEntry></m:ResolveNames>"
    )
    assert refusal(envelope(twice)).code == "ErrorSchemaValidation"


def test_the_fault_says_where_and_what() -> None:
    fault = refusal(envelope(FIND).replace("IdOnly", "Everything"))
    assert "Everything" in fault.values["Violation"]
    assert fault.values["LineNumber"] == "1"


@pytest.mark.parametrize("version", ["Exchange2013_SP2", "Exchange2019", "", "exchange2013_sp1"])
def test_an_unknown_version_is_refused(version: str) -> None:
    good = envelope(FIND)
    assert refusal(good.replace("Exchange2013_SP1", version)).code == "ErrorInvalidServerVersion"


def test_an_unknown_operation_is_refused() -> None:
    assert refusal(envelope("<m:DeleteItem/>")).code == "ErrorInvalidRequest"


@pytest.mark.parametrize("content", ["", "nonsense", "<a/>", "<a", envelope(FIND)[:400]])
def test_what_is_no_envelope_is_refused(content: str) -> None:
    assert refusal(content).code == "ErrorSchemaValidation"
