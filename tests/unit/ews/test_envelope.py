from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.errors import ExchangeError, ExchangeUnavailable, MailboxError
from shared.ews import envelope as module
from shared.ews.appointments import parse_found_items, parse_organizers
from shared.ews.autodiscover import parse_discovery
from shared.ews.envelope import (
    Code,
    body_of,
    fault_in,
    flag,
    full_text,
    parse_document,
    parse_envelope,
    response_messages,
    server_version,
    text_at,
)
from shared.ews.failures import refusal_in
from shared.ews.names import parse_matches
from shared.ews.notifications import parse_notifications, parse_subscription
from tests.unit.ews import messages

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOOD = messages.found_items(messages.item(subject="Grüße"))


def subject_in(body: bytes) -> str:
    found = parse_envelope(body).find(f".//{module.TYPES}Subject")
    assert found is not None
    return full_text(found)


def refused(body: bytes) -> str:
    with pytest.raises(MailboxError) as caught:
        parse_envelope(body)
    assert caught.value.code == "Unreadable"
    return str(caught.value)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_reads_what_exchange_and_gateways_encode(codec: str) -> None:
    assert subject_in(GOOD.decode().encode(codec)) == "Grüße"


def test_reads_the_declared_encoding() -> None:
    text = GOOD.decode()
    assert subject_in(text.replace("utf-8", "windows-1252").encode("cp1252")) == "Grüße"
    assert subject_in(text.replace("utf-8", "utf-16").encode()) == "Grüße"  # declared by mistake
    assert subject_in(text.partition("?>")[2].encode()) == "Grüße"


@pytest.mark.parametrize("encoding", ["utf-7", "punycode", "no-such", "rot13", "unicode_escape"])
def test_refuses_other_encodings(encoding: str) -> None:
    assert "encoding" in refused(GOOD.replace(b"utf-8", encoding.encode()))


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("a&#x1F;b", "ab"),
        ("a&#11;b", "ab"),
        ("a\x0bb", "ab"),
        ("a\x00b", "ab"),
        ("a&#xFFFF;b", "ab"),
        ("a&#xD800;b", "ab"),
        ("a&#x110000;b", "ab"),
        ("a&#99999999999;b", "ab"),
        ("a&#x20AC;&#228;b", "a€äb"),
        ("a & b", "a  b"),
        ("a&amp;#x1F;b", "a&#x1F;b"),
        ("<![CDATA[a<b]]>", "a<b"),
        ("a<!-- c -->b<?pi x?>c", "abc"),
    ],
)
def test_strips_what_xml_forbids_and_keeps_the_rest(raw: str, read: str) -> None:
    assert subject_in(GOOD.decode().replace("Grüße", raw).encode()) == read


def test_replaces_bytes_that_are_no_utf8() -> None:
    assert subject_in(GOOD.replace("ü".encode(), b"\xfc")) == "Gr\ufffdße"


def test_refuses_an_envelope_cut_off_anywhere() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(ExchangeError):
            parse_envelope(GOOD[:length])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"no xml",
        b"{}",
        GOOD + b"junk",
        GOOD + GOOD,
        GOOD.replace(b"</t:Subject>", b""),
        GOOD.replace(b"</t:Subject>", b"</t:Subjekt>"),
        GOOD.replace(b"<t:Subject>", b"<q:Subject>").replace(b"</t:Subject>", b"</q:Subject>"),
        GOOD.replace("Grüße".encode(), b"<a>" * 300 + b"</a>" * 300),
    ],
)
def test_refuses_a_damaged_structure(body: bytes) -> None:
    assert "cannot be read" in refused(body)


@pytest.mark.parametrize(
    "dtd", [b'<!DOCTYPE s [<!ENTITY x "y">]>', b'<!DOCTYPE s SYSTEM "http://127.0.0.1:9/x.dtd">']
)
def test_refuses_a_document_type(dtd: bytes) -> None:
    assert "document type" in refused(GOOD.replace(b"?>", b"?>" + dtd, 1))


def test_does_not_expand_undeclared_entities() -> None:
    assert subject_in(GOOD.decode().replace("Grüße", "a&secret;b").encode()) in ("ab", "a&secret;b")


def test_refuses_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY", len(GOOD))
    assert subject_in(GOOD) == "Grüße"
    assert "bigger" in refused(GOOD + b" ")


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"\n<HTML><form></HTML>",
        b"<!-- x --><html/>",
        b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n<HTML>',
        b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"/>',
    ],
)
def test_calls_a_web_page_by_its_name(page: bytes) -> None:
    with pytest.raises(ExchangeUnavailable, match="web page") as caught:
        parse_document(page)
    assert caught.value.code == "WebPage"
    assert caught.value.retry_after == timedelta(minutes=5)


def test_refuses_other_documents_and_empty_bodies() -> None:
    assert "SOAP" in refused(b"<a/>")
    assert "SOAP" in refused(GOOD.replace(messages.SOAP.encode(), b"http://www.w3.org/2003/05/soap-envelope"))
    assert "empty" in refused(messages.envelope(""))
    assert "empty" in refused(f'<s:Envelope xmlns:s="{messages.SOAP}"/>'.encode())


def test_does_not_take_the_misprinted_namespaces() -> None:
    misprinted = GOOD.replace(
        messages.MESSAGES.encode(), messages.MESSAGES.encode().replace(b"http:", b"https:")
    )
    with pytest.raises(MailboxError, match="no FindItemResponse"):
        parse_found_items(misprinted)


def test_knows_a_message_by_its_namespace_whatever_the_prefix() -> None:
    text = (
        GOOD.decode()
        .replace("<s:", "<SOAP-ENV:")
        .replace("</s:", "</SOAP-ENV:")
        .replace("xmlns:s=", "xmlns:SOAP-ENV=")
    )
    text = text.replace("<m:", "<").replace("</m:", "</").replace("xmlns:m=", "xmlns=")
    assert len(parse_found_items(text.encode()).items) == 1


def test_finds_the_message_and_its_answers() -> None:
    envelope = parse_envelope(GOOD)
    message = body_of(envelope, "FindItemResponse")
    assert [answer.code for answer in response_messages(message)] == ["NoError"]
    with pytest.raises(MailboxError, match="no GetItemResponse or SubscribeResponse"):
        body_of(envelope, "GetItemResponse", "SubscribeResponse")
    with pytest.raises(MailboxError, match="no response message"):
        list(response_messages(body_of(parse_envelope(messages.response("FindItem")), "FindItemResponse")))


@pytest.mark.parametrize(
    ("kind", "code", "failed"),
    [
        ("Success", "NoError", False),
        ("Warning", "ErrorNameResolutionMultipleResults", False),
        ("Error", "ErrorItemNotFound", True),
        ("Error", "NoError", True),
        ("Success", "ErrorServerBusy", True),
        ("", "ErrorServerBusy", True),
        ("", " NoError ", False),
    ],
)
def test_tells_errors_from_warnings(kind: str, code: str, failed: bool) -> None:
    body = messages.response("GetItem", messages.answer("GetItem", code=code, kind=kind))
    (answer,) = response_messages(body_of(parse_envelope(body), "GetItemResponse"))
    assert (answer.error is not None) is failed
    assert answer.code == code.strip()


def test_reads_the_version() -> None:
    assert server_version(parse_envelope(GOOD)) == "15.2.1544.4"
    assert server_version(parse_envelope(messages.response("FindItem", header=""))) is None
    odd = messages.response("FindItem", header=messages.VERSION.replace('"15"', '"x"'))
    assert server_version(parse_envelope(odd)) == "2.1544.4"


def test_reads_a_fault_and_the_pause_it_asks_for() -> None:
    body = messages.fault("ErrorServerBusy", BackOffMilliseconds="297749")
    assert fault_in(parse_envelope(body)) == Code("ErrorServerBusy", "", timedelta(milliseconds=297749))
    assert fault_in(parse_envelope(GOOD)) is None


def test_reads_the_inner_code() -> None:
    xml = messages.message_xml(InnerErrorResponseCode="ErrorServerBusy", BackOffMilliseconds=" 20 ")
    body = messages.refusal("FindItem", "ErrorInternalServerError", xml)
    (answer,) = response_messages(body_of(parse_envelope(body), "FindItemResponse"))
    assert answer.error == Code("ErrorInternalServerError", "ErrorServerBusy", timedelta(milliseconds=20))


@pytest.mark.parametrize("wait", ["-5", "soon", "", "1.5", "٣"])
def test_ignores_a_pause_that_is_no_number(wait: str) -> None:
    found = fault_in(parse_envelope(messages.fault("ErrorServerBusy", BackOffMilliseconds=wait)))
    assert found == Code("ErrorServerBusy")


def test_bounds_an_absurd_pause() -> None:
    found = fault_in(parse_envelope(messages.fault("ErrorServerBusy", BackOffMilliseconds="9" * 40)))
    assert found is not None
    assert found.back_off == timedelta(days=1)


def test_reads_a_fault_without_detail() -> None:
    body = messages.envelope("<s:Fault><faultcode>soap:Client</faultcode><faultstring/></s:Fault>")
    assert fault_in(parse_envelope(body)) == Code("Client")


@pytest.mark.parametrize("code", ["user@example.com", "two words", "", "x" * 81, "Grün"])
def test_lets_no_text_pass_as_a_code(code: str) -> None:
    body = messages.envelope(f"<s:Fault><faultcode>{code}</faultcode></s:Fault>")
    assert fault_in(parse_envelope(body)) == Code("Unknown")


def test_reads_texts_and_flags() -> None:
    root = parse_document(b"<a><b> x <c>y</c> </b></a>")
    assert text_at(root, "b") == "x y"
    assert text_at(root, "d", "none") == "none"
    assert text_at(None, "b") == ""
    assert [flag(value, default=False) for value in ("true", " 1 ", "False", "0", "x", None)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert flag("maybe", default=True) is True


PARSERS: list[Callable[[bytes], object]] = [
    parse_found_items,
    parse_matches,
    parse_subscription,
    parse_notifications,
    parse_discovery,
    refusal_in,
    lambda body: parse_organizers(body, ["a", "b"]),
]
SEEDS = [
    GOOD,
    messages.found_items(complete=False),
    messages.resolved(messages.resolution("a@example.com", "SMTP:b@example.com")),
    messages.subscribed(),
    messages.organizers(messages.organizer("A", "a@example.com", "SMTP"), messages.organizer()),
    messages.send_notification(messages.notification(messages.event("StatusEvent"))),
    messages.fault("ErrorServerBusy", BackOffMilliseconds="5"),
    b'{"Protocol":"Ews","Url":"https://x"}',
]


@CALM
@given(st.binary() | st.text().map(str.encode))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"a":' + b"9" * 10_000 + b"}")
@example(b'\xff{"a"')
def test_no_bytes_raise_anything_but_an_exchange_error(body: bytes) -> None:
    for parse in PARSERS:
        with pytest.raises(ExchangeError):
            parse(body)


@CALM
@given(st.sampled_from(SEEDS), st.data())
def test_no_damage_raises_anything_but_an_exchange_error(seed: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(start + 40, len(seed))))
    damaged = seed[:start] + data.draw(st.binary(max_size=20) | st.just(seed[:60])) + seed[end:]
    outcomes: set[str] = set()
    for parse in PARSERS:
        try:
            parse(damaged)
            outcomes.add("read")
        except ExchangeError:
            outcomes.add("refused")
    assert "refused" in outcomes  # no message is of every kind
