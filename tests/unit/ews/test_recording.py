"""What a record of the conversation with Exchange holds, and what it must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import ExchangeError, MailboxError
from shared.ews import requests
from shared.ews.recorder import Recorder
from shared.ews.recording import (
    LONGEST,
    Record,
    drop_subjects,
    hash_of,
    redact_body,
    redact_headers,
    redact_url,
)
from shared.ews.transport import Answer

ANNA = "anna@example.com"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
URL = "https://mail.example.com/EWS/Exchange.asmx"
ANSWER = b"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"
 xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Body><m:FindItemResponse>
<m:ResponseMessages><m:FindItemResponseMessage ResponseClass="Success">
<m:ResponseCode>NoError</m:ResponseCode>
<t:CalendarItem><t:ItemId Id="AAMkSecretId" ChangeKey="DwAASecret"/><t:Subject>Salary of Bob</t:Subject>
<t:Location>Room 7</t:Location><t:Body>Confidential words</t:Body><t:Start>2026-11-22T14:00:00Z</t:Start>
<t:LegacyFreeBusyStatus>Busy</t:LegacyFreeBusyStatus><t:Organizer><t:Mailbox><t:Name>Bob Brown</t:Name>
<t:EmailAddress>Anna@Example.com</t:EmailAddress></t:Mailbox></t:Organizer><t:UID>uid-1</t:UID>
<t:InventedLater>who knows</t:InventedLater></t:CalendarItem></m:FindItemResponseMessage>
</m:ResponseMessages></m:FindItemResponse></s:Body></s:Envelope>"""
SECRETS = ["Salary", "Room 7", "Confidential", "Bob", "Example", "AAMk", "DwAA", "uid-1", "who knows"]


def test_keeps_what_is_harmless_and_nothing_else() -> None:
    text = redact_body(ANSWER)
    for kept in ("NoError", "2026-11-22T14:00:00Z", ">Busy<", 'ResponseClass="Success"', "InventedLater>"):
        assert kept in text
    assert [secret for secret in SECRETS if secret in text] == []
    assert f"address-{hash_of(ANNA)}" in text


def test_keeps_subjects_and_places_if_asked_for() -> None:
    text = redact_body(ANSWER, subjects=True)
    assert "Salary of Bob" in text
    assert "Room 7" in text
    assert [secret for secret in SECRETS[2:] if secret in text and secret != "Bob"] == []


@pytest.mark.parametrize("sensitivity", [b"Private", b"Personal", b"Confidential", b"Later"])
def test_subjects_and_places_of_what_is_private_are_kept_for_nobody(sensitivity: bytes) -> None:
    private = ANSWER.replace(
        b"<t:LegacyFreeBusyStatus>",
        b"<t:Sensitivity>" + sensitivity + b"</t:Sensitivity><t:LegacyFreeBusyStatus>",
    )
    text = redact_body(private, subjects=True)
    assert [secret for secret in ("Salary", "Bob", "Room 7") if secret in text] == []
    assert "Salary" in redact_body(private.replace(sensitivity, b"Normal"), subjects=True)


def test_subjects_are_dropped_later_as_well() -> None:
    text = redact_body(ANSWER, subjects=True)
    assert drop_subjects(text) == redact_body(ANSWER)
    cut_off = text[: text.index("Salary") + 3]
    assert "Sal" not in drop_subjects(cut_off)


def test_the_callbacks_secret_is_removed_from_a_subscription() -> None:
    text = redact_body(
        requests.subscribe(ANNA, "https://func.example.com/api/notifications/guid/hmac?x=y", 30)
    )
    assert "https://func.example.com/[removed]" in text
    assert "hmac" not in text
    assert "guid" not in text
    assert ">30<" in text
    assert 'DistinguishedFolderId Id="calendar"' in text


def test_the_questions_can_still_be_read() -> None:
    text = redact_body(requests.find_item(ANNA, NOW, NOW + timedelta(hours=48)))
    assert ANNA not in text
    assert f"address-{hash_of(ANNA)}" in text
    assert 'FieldURI="calendar:Start"' in text
    assert 'StartDate="2026-11-22T12:00:00Z"' in text
    assert "kate@example.com" not in redact_body(requests.resolve_names("kate@example.com", None))


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>anna@example.com secret</body></html>",
        b'{"access_token": "secret"}',
        b"\x00secret",
        b"<!DOCTYPE x [<!ENTITY e 'secret'>]><x>&e; secret</x>",
        b"<!-- secret --><?secret secret?>",
    ],
)
def test_of_what_is_no_message_only_the_size_is_kept(body: bytes) -> None:
    assert redact_body(body) == f"[{len(body)} bytes that are no XML of Exchange]"
    assert redact_body(b" ") == ""


@pytest.mark.parametrize(
    "inner",
    [
        b"<!-- secret -->secret",
        b"<?p secret?>secret",
        b"&e; secret",
        b"&secret;",
        b"<a/>secret",
        b"<Subject>x</Subject>secret",
        b"<a b='secret'/>",
        b"<ResponseCode><Subject>secret</Subject>secret</ResponseCode>",
        b"<Value Name='secretly'>secret</Value>".replace(b"secretly", b"X"),
    ],
)
def test_nothing_hides_between_the_elements(inner: bytes) -> None:
    doctype = b"<!DOCTYPE x [<!ENTITY e 'secret'>]>"
    assert "secret" not in redact_body(doctype + b"<x xmlns='urn:x'>" + inner + b"</x>")


def test_a_broken_message_is_kept_as_far_as_it_goes() -> None:
    text = redact_body(ANSWER[: ANSWER.index(b"<t:Start>")])
    assert "NoError" in text
    assert "Salary" not in text


def test_an_address_within_a_text_becomes_a_hash() -> None:
    text = redact_body(
        b"<x xmlns='urn:x'><MessageText>The mailbox anna@example.com, is gone.</MessageText></x>"
    )
    assert f"The mailbox address-{hash_of(ANNA)}, is gone." in text


def test_a_long_body_is_cut_off() -> None:
    text = redact_body(b"<x xmlns='urn:x'>" + 5000 * b"<ResponseCode>NoError</ResponseCode>" + b"</x>")
    assert len(text) == LONGEST + len("[cut off]")


def test_of_headers_the_harmless_are_kept() -> None:
    assert redact_headers(
        {
            "Authorization": "Bearer eyJ0secret",
            "WWW-Authenticate": "NTLM TlRMTVNTUAACsecret, Negotiate",
            "Cookie": "secret",
            "Set-Cookie": "secret",
            "X-Unknown": "secret",
            "X-AnchorMailbox": ANNA,
            "Content-Type": "text/xml",
            "Retry-After": "5",
        }
    ) == {
        "authorization": "Bearer [removed]",
        "www-authenticate": "NTLM [removed]",
        "x-anchormailbox": f"address-{hash_of(ANNA)}",
        "content-type": "text/xml",
        "retry-after": "5",
    }


def test_of_a_url_the_query_and_the_account_are_dropped() -> None:
    url = "https://user:secret@mail.example.com:8443/EWS/anna@example.com?token=secret"
    assert redact_url(url) == f"https://mail.example.com:8443/EWS/address-{hash_of(ANNA)}"


class Kept(list[Record]):
    """Where records go; ``broken`` is what adding one raises."""

    broken: Exception | None = None

    async def add(self, record: Record) -> None:
        if self.broken:
            raise self.broken
        self.append(record)


class Line:
    """A transport with one answer, on which two seconds pass."""

    def __init__(self, answer: Answer | ExchangeError) -> None:
        self.answer = answer
        self.now = NOW

    async def post(self, url: str, headers: object, body: bytes) -> Answer:
        self.now += timedelta(seconds=2)
        if isinstance(self.answer, ExchangeError):
            raise self.answer
        return self.answer


def listen(line: Line, kept: Kept) -> Recorder:
    return Recorder(line, kept, lambda: line.now, NOW + timedelta(hours=1))


async def test_records_what_passes_through() -> None:
    kept, line = Kept(), Line(Answer(200, {"request-id": "7"}, ANSWER))
    assert await listen(line, kept).post(URL, {"x-anchormailbox": ANNA}, b"") is line.answer
    (record,) = kept
    assert (record.at, record.seconds, record.place, record.status) == (NOW, 2.0, URL, 200)
    assert record.request_headers == {"x-anchormailbox": f"address-{hash_of(ANNA)}"}
    assert record.answer_headers == {"request-id": "7"}
    assert record.answer == redact_body(ANSWER)


async def test_records_that_there_was_no_answer() -> None:
    kept, line = Kept(), Line(MailboxError("Timeout", "x"))
    with pytest.raises(MailboxError):
        await listen(line, kept).post(URL, {}, b"")
    assert [(record.status, record.error) for record in kept] == [(0, "Timeout")]


async def test_switches_itself_off() -> None:
    kept, line = Kept(), Line(Answer(200, {}, b""))
    recorder = listen(line, kept)
    line.now = NOW + timedelta(minutes=59)
    await recorder.post(URL, {}, b"")
    line.now = NOW + timedelta(hours=1)
    await recorder.post(URL, {}, b"")
    assert len(kept) == 1


async def test_a_record_that_cannot_be_kept_disturbs_nobody() -> None:
    kept, line = Kept(), Line(Answer(200, {}, b""))
    kept.broken = OSError("full")
    assert await listen(line, kept).post(URL, {}, b"") is line.answer
