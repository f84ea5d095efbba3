from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import (
    EwsClosed,
    ExchangeBusy,
    ExchangeError,
    ExchangeUnavailable,
    MailboxError,
    RequestRefused,
    SignInRefused,
)
from shared.ews.envelope import Code
from shared.ews.failures import failure, http_failure, is_exchange_online, refusal_in
from tests.unit.ews import messages

ON_PREMISES = "https://mail.example.com/EWS/Exchange.asmx"
ONLINE = "https://outlook.office365.com/EWS/Exchange.asmx"
PAGE = b"<!DOCTYPE html><html><body>Runtime Error</body></html>"


def seconds(error: ExchangeError) -> float | None:
    return None if error.retry_after is None else error.retry_after.total_seconds()


@pytest.mark.parametrize(
    ("code", "kind", "wait"),
    [
        ("ErrorNonExistentMailbox", MailboxError, None),
        ("ErrorAccessDenied", MailboxError, None),
        ("ErrorFolderNotFound", MailboxError, None),
        ("ErrorImpersonateUserDenied", MailboxError, None),
        ("ErrorMailboxMoveInProgress", MailboxError, 300),
        ("ErrorMailboxStoreUnavailable", MailboxError, 300),
        ("ErrorMailboxFailover", MailboxError, 300),
        ("ErrorConnectionFailed", MailboxError, 60),
        ("ErrorInternalServerError", MailboxError, 60),
        ("ErrorInvalidSubscription", MailboxError, 0),
        ("ErrorReadEventsFailed", MailboxError, 0),
        ("ErrorNobodyHasSeenYet", MailboxError, 300),
        ("ErrorServerBusy", ExchangeBusy, 10),
        ("ErrorExceededConnectionCount", ExchangeBusy, 10),
        ("ErrorTooManyObjectsOpened", ExchangeBusy, 10),
        ("ErrorExceededSubscriptionCount", MailboxError, 15 * 60),
        ("ErrorADUnavailable", ExchangeUnavailable, 60),
        ("ErrorImpersonationDenied", ExchangeUnavailable, 900),
        ("ErrorPasswordExpired", SignInRefused, 900),
        ("invalid_client", SignInRefused, 900),
        ("AADSTS7000222", SignInRefused, 900),
        ("ErrorSchemaValidation", RequestRefused, None),
        ("ErrorInvalidServerVersion", RequestRefused, None),
        ("ErrorIncorrectSchemaVersion", RequestRefused, None),
    ],
)
def test_a_code_says_who_is_concerned_and_when_to_repeat(
    code: str, kind: type[ExchangeError], wait: int | None
) -> None:
    error = failure(code)
    assert type(error) is kind
    assert error.code == code
    assert seconds(error) == wait
    assert str(error).endswith(".")


def test_a_busy_signal_names_its_pause() -> None:
    error = failure(Code("ErrorServerBusy", back_off=timedelta(seconds=7)))
    assert seconds(error) == 7


def test_a_busy_signal_may_hide_in_an_internal_error() -> None:
    error = failure(Code("ErrorInternalServerError", "ErrorServerBusy", timedelta(seconds=7)))
    assert type(error) is ExchangeBusy
    assert (error.code, seconds(error)) == ("ErrorServerBusy", 7)


def test_another_inner_code_changes_nothing() -> None:
    error = failure(Code("ErrorInternalServerError", "ErrorItemNotFound", timedelta(seconds=7)))
    assert (type(error), error.code, seconds(error)) == (MailboxError, "ErrorInternalServerError", 60)


@pytest.mark.parametrize(
    ("status", "kind", "wait"),
    [
        (403, ExchangeUnavailable, 900),
        (404, ExchangeUnavailable, 300),
        (302, ExchangeUnavailable, 300),
        (308, ExchangeUnavailable, 300),
        (413, RequestRefused, None),
        (429, ExchangeBusy, 10),
        (500, ExchangeUnavailable, 30),
        (502, ExchangeUnavailable, 30),
        (503, ExchangeBusy, 10),
        (504, ExchangeUnavailable, 30),
        (418, ExchangeUnavailable, 300),
        (204, ExchangeUnavailable, 300),
    ],
)
@pytest.mark.parametrize("body", [b"", PAGE])
def test_a_status_says_so_too(status: int, kind: type[ExchangeError], wait: int | None, body: bytes) -> None:
    error = http_failure(status, {}, body, ON_PREMISES)
    assert type(error) is kind
    assert error.code == f"HTTP {status}"
    assert seconds(error) == wait
    assert str(error).endswith(".")


@pytest.mark.parametrize("status", [400, 500, 503])
def test_the_body_is_read_before_judging(status: int) -> None:
    body = messages.fault("ErrorServerBusy", BackOffMilliseconds="5000")
    error = http_failure(status, {"retry-after": "99"}, body, ON_PREMISES)
    assert (type(error), error.code, seconds(error)) == (ExchangeBusy, "ErrorServerBusy", 5)
    error = http_failure(status, {}, messages.fault("ErrorNonExistentMailbox"), ON_PREMISES)
    assert (type(error), error.code) == (MailboxError, "ErrorNonExistentMailbox")


def test_a_500_with_another_envelope_stays_a_500() -> None:
    assert http_failure(500, {}, messages.found_items(), ON_PREMISES).code == "HTTP 500"


@pytest.mark.parametrize("body", [b"", PAGE, messages.fault("ErrorServerBusy", BackOffMilliseconds="1")])
def test_a_refused_account_is_tried_rarely(body: bytes) -> None:
    error = http_failure(401, {"retry-after": "1"}, body, ONLINE)
    assert (type(error), error.code) == (SignInRefused, "HTTP 401")
    assert (seconds(error) or 0) >= 300


def test_exchange_online_forbids_where_ews_is_closed() -> None:
    error = http_failure(403, {}, b"", ONLINE)
    assert type(error) is EwsClosed
    assert "EwsAllowedAppIDs" in str(error)
    assert seconds(error) == 3600


@pytest.mark.parametrize(
    ("url", "online"),
    [
        (ONLINE, True),
        ("https://OUTLOOK.office365.us/EWS/Exchange.asmx", True),
        ("https://outlook-dod.office365.us:443/EWS/Exchange.asmx", True),
        ("https://partner.outlook.cn/EWS/Exchange.asmx", True),
        ("https://outlook.office365.com.example.com/EWS/Exchange.asmx", False),
        (ON_PREMISES, False),
        ("", False),
    ],
)
def test_knows_exchange_online_by_its_hosts(url: str, online: bool) -> None:
    assert is_exchange_online(url) is online


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 0 "}, 10),
        ({"retry-after": "9" * 30}, 86400),
        (
            {"retry-after": "Sun, 22 Nov 2026 10:01:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"},
            90,
        ),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 10),
        ({"retry-after": "Sun, 22 Nov 2026 10:01:30 GMT"}, 10),
        ({"retry-after": "soon"}, 10),
        ({"retry-after": "-5"}, 10),
        ({}, 10),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_reads_retry_after(headers: dict[str, str], wait: int, status: int) -> None:
    assert seconds(http_failure(status, headers, b"", ON_PREMISES)) == wait


def test_retry_after_counts_for_busy_signals_only() -> None:
    assert seconds(http_failure(404, {"retry-after": "1"}, b"", ON_PREMISES)) == 300


def test_finds_the_refusal_in_any_response() -> None:
    refused = refusal_in(messages.fault("ErrorADUnavailable"))
    assert refused is not None
    assert refused.code == "ErrorADUnavailable"
    refused = refusal_in(messages.refusal("Unsubscribe", "ErrorInvalidSubscription"))
    assert refused is not None
    assert refused.code == "ErrorInvalidSubscription"
    assert refusal_in(messages.found_items()) is None
    with pytest.raises(MailboxError, match="no response message"):
        refusal_in(messages.envelope("<a/>"))
