"""Which failure means what: the one table from a ResponseCode or HTTP status to an error of the tree.

Codes only, never texts: Exchange localizes them. What the table doesn't know concerns one mailbox and is
retried minutes later, so that a new code never stops everybody.

Sources: MS-OXWSCDATA (ResponseCodeType); Microsoft's *EWS throttling in Exchange* and *Handling errors
related to EWS*; the Exchange team's announcements on the end of EWS in Exchange Online.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from shared.errors import (
    EwsClosed,
    ExchangeBusy,
    ExchangeError,
    ExchangeUnavailable,
    MailboxError,
    RequestRefused,
    SignInRefused,
)
from shared.ews.envelope import Code, Element, fault_in, parse_envelope, response_messages

DEFAULT_PAUSE = timedelta(seconds=10)
"""After a busy signal that names no time; whoever keeps the budget doubles it while signals go on."""

LONGEST_PAUSE = timedelta(days=1)

RENEWS_DISCOVERY = frozenset({"ErrorConnectionFailed", "ErrorMailboxMoveInProgress", "HTTP 503", "HTTP 404"})
"""Codes after which the address of Exchange is searched again, if it was found more than an hour ago."""

ONLINE_HOSTS = frozenset(
    {
        "outlook.office365.com",
        "outlook.office.com",
        "outlook.office365.us",
        "outlook-dod.office365.us",
        "partner.outlook.cn",
    }
)

_SOON = timedelta(seconds=30)
_MINUTE = timedelta(minutes=1)
_MINUTES = timedelta(minutes=5)
_RARELY = timedelta(minutes=15)
_HOUR = timedelta(hours=1)

type _Row = tuple[type[ExchangeError], timedelta | None, str]

_MOVING: _Row = (
    MailboxError,
    _MINUTES,
    "The mailbox is being moved or its database is switching over. Wait.",
)
_BUSY: _Row = (ExchangeBusy, DEFAULT_PAUSE, "Exchange is busy and asked for a pause. Nothing is lost; wait.")
_RENEW: _Row = (
    MailboxError,
    timedelta(0),
    "The subscription no longer exists in Exchange. It is made again and the mailbox read again.",
)
_OURS: _Row = (
    RequestRefused,
    None,
    "Exchange refused the request as wrong. It must be Exchange 2013 SP1 or newer. Report the code.",
)
_AD: _Row = (
    ExchangeUnavailable,
    _MINUTE,
    "Exchange cannot reach its Active Directory. Check the domain controllers.",
)
_PASSWORD: _Row = (
    SignInRefused,
    _RARELY,
    "The account may not sign in: it is disabled or its password has expired. Enter a new one.",
)
_SECRET: _Row = (
    SignInRefused,
    _RARELY,
    "The client ID or the client secret is wrong or has expired. Enter a new secret or certificate.",
)
_IMPERSONATION: _Row = (
    ExchangeUnavailable,
    _RARELY,
    "The account may not impersonate mailboxes. On-premises give it the management role "
    "ApplicationImpersonation, in Exchange Online the application role full_access_as_app.",
)

_CODES: dict[str, _Row] = {
    # this mailbox only
    "ErrorNonExistentMailbox": (
        MailboxError,
        None,
        "Exchange has no mailbox with this address, or it lives in another Exchange (hybrid). "
        "Check the user's e-mail address.",
    ),
    "ErrorInvalidSmtpAddress": (
        MailboxError,
        None,
        "The e-mail address is not valid. Correct it at the user.",
    ),
    "ErrorMailboxMoveInProgress": _MOVING,
    "ErrorMailboxStoreUnavailable": _MOVING,
    "ErrorMailboxFailover": _MOVING,
    "ErrorMailboxLogonFailed": _MOVING,
    "ErrorConnectionFailed": (
        MailboxError,
        _MINUTE,
        "Exchange could not reach the server that holds the mailbox. Wait; check the server if it lasts.",
    ),
    "ErrorTimeoutExpired": (MailboxError, _MINUTE, "Exchange took too long over this mailbox. Wait."),
    "ErrorInternalServerError": (
        MailboxError,
        _MINUTE,
        "Exchange failed internally over this mailbox. Wait.",
    ),
    "ErrorInternalServerTransientError": (MailboxError, _MINUTE, "Exchange failed for a moment. Wait."),
    "ErrorAccessDenied": (
        MailboxError,
        None,
        "Exchange denies access to this mailbox. Check that the management scope of the impersonation role "
        "includes it.",
    ),
    "ErrorImpersonateUserDenied": (
        MailboxError,
        None,
        "The account may not impersonate this mailbox. Extend the management scope of its role.",
    ),
    "ErrorFolderNotFound": (
        MailboxError,
        None,
        "The mailbox has no calendar folder. Open it once in Outlook.",
    ),
    "ErrorItemNotFound": (MailboxError, None, "The appointment no longer exists. The mailbox is read again."),
    "ErrorAccountDisabled": (
        MailboxError,
        None,
        "The mailbox's account is disabled. Enable or exclude the user.",
    ),
    "ErrorNameResolutionNoResults": (MailboxError, None, "Exchange does not know the address. Check it."),
    "ErrorNameResolutionNoMailbox": (
        MailboxError,
        None,
        "The account that resolves names has no mailbox. Set 'user for name resolving' to the other value.",
    ),
    # Under impersonation the limit is the mailbox's, for all applications together.
    "ErrorExceededSubscriptionCount": (
        MailboxError,
        _RARELY,
        "The mailbox has as many subscriptions as Exchange grants it, other applications' among them.",
    ),
    "ErrorReadEventsFailed": _RENEW,
    "ErrorInvalidSubscription": _RENEW,
    "ErrorSubscriptionNotFound": _RENEW,
    "ErrorExpiredSubscription": _RENEW,
    "ErrorInvalidWatermark": _RENEW,
    # the whole system
    "ErrorServerBusy": _BUSY,
    "ErrorExceededConnectionCount": _BUSY,
    "ErrorTooManyObjectsOpened": _BUSY,
    "ErrorExceededFindCountLimit": _BUSY,
    "ErrorADUnavailable": _AD,
    "ErrorADOperation": _AD,
    "ErrorImpersonationDenied": _IMPERSONATION,
    "ErrorImpersonationFailed": _IMPERSONATION,
    "ErrorPasswordExpired": _PASSWORD,
    "ErrorPasswordChangeRequired": _PASSWORD,
    "ErrorCallerIsInvalidADAccount": _PASSWORD,
    "invalid_client": _SECRET,
    "AADSTS7000222": _SECRET,
    # our request
    "ErrorSchemaValidation": _OURS,
    "ErrorInvalidServerVersion": _OURS,
    "ErrorIncorrectSchemaVersion": _OURS,
    "ErrorInvalidRequest": _OURS,
    "ErrorCalendarViewRangeTooBig": _OURS,
    "ErrorSubscriptionDelegateAccessNotSupported": _OURS,
    "ErrorInvalidPushSubscriptionUrl": (
        RequestRefused,
        None,
        "Exchange does not accept the callback address. Set CALENDAR_CALLBACK_URL to a complete https:// "
        "address by which Exchange reaches this service.",
    ),
}

_STATUSES: dict[int, _Row] = {
    401: (
        SignInRefused,
        _RARELY,
        "Exchange refused the account. Check user and password. It is tried rarely, lest it be locked.",
    ),
    403: (
        ExchangeUnavailable,
        _RARELY,
        "Exchange forbids access to EWS. Check the EWS virtual directory and a firewall or proxy before it.",
    ),
    404: (ExchangeUnavailable, _MINUTES, "There is no EWS at this address. Check the Exchange URL."),
    408: (ExchangeUnavailable, _SOON, "Exchange, or a proxy before it, took too long. Wait."),
    413: (RequestRefused, None, "Exchange, or a proxy before it, found the request too big. Report this."),
    429: _BUSY,
    500: (ExchangeUnavailable, _SOON, "Exchange failed internally. Wait; check its event log if it lasts."),
    502: (ExchangeUnavailable, _SOON, "The proxy before Exchange cannot reach it. Check the back end."),
    503: (
        ExchangeBusy,
        DEFAULT_PAUSE,
        "Exchange is not available at present. Wait; check its services if it lasts.",
    ),
    504: (ExchangeUnavailable, _SOON, "The proxy before Exchange got no answer in time. Check the back end."),
}
_REDIRECT: _Row = (
    ExchangeUnavailable,
    _MINUTES,
    "Exchange answered with a redirection, which is not followed. Enter the address that it points to.",
)
_CLOSED: _Row = (
    EwsClosed,
    _HOUR,
    "Exchange Online does not let this application use EWS. An Exchange administrator reads the list "
    "EwsAllowedAppIDs of Set-OrganizationConfig, appends this application's client ID, writes the list, then "
    "sets EwsEnabled to true. It takes up to 24 hours.",
)


def is_exchange_online(url: str) -> bool:
    """Whether the address leads to Exchange Online, in any of its clouds."""
    return (urlsplit(url).hostname or "") in ONLINE_HOSTS


def failure(verdict: Code | str) -> ExchangeError:
    """The error that a ResponseCode means; its ``retry_after`` is the pause that Exchange named, if any."""
    if isinstance(verdict, str):
        verdict = Code(verdict)
    code = verdict.inner if _CODES.get(verdict.inner) is _BUSY else verdict.code
    kind, pause, text = _CODES.get(
        code,
        (MailboxError, _MINUTES, f"Exchange refused with the code {code}. Look it up; it is tried again."),
    )
    if issubclass(kind, ExchangeBusy) and verdict.back_off is not None:
        pause = verdict.back_off
    return kind(code, text, retry_after=pause)


def raise_fault(envelope: Element) -> None:
    """Raise the error that the envelope reports as a SOAP fault, if it does."""
    if (fault := fault_in(envelope)) is not None:
        raise failure(fault)


def refusal_in(body: bytes) -> ExchangeError | None:
    """The first error that a response reports, as a fault or in a response message; None for a success.

    Raises ExchangeError for a body that is no EWS message.
    """
    envelope = parse_envelope(body)
    if (fault := fault_in(envelope)) is not None:
        return failure(fault)
    message = next(envelope.iterfind("{*}Body/*"))
    return next((failure(answer.error) for answer in response_messages(message) if answer.error), None)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Retry-After as a time to wait; a date is measured from the response's own Date."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), LONGEST_PAUSE)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_PAUSE)


def http_failure(status: int, headers: Mapping[str, str], body: bytes, url: str) -> ExchangeError:
    """The error that an HTTP answer other than 200 means. Header names are in lower case.

    The body is read before judging: Exchange sends SOAP faults with 500, and busy signals with 503.
    """
    if status not in (401, 403):
        try:
            fault = fault_in(parse_envelope(body))
        except ExchangeError:
            fault = None
        if fault is not None:
            return failure(fault)
    if status == 403 and is_exchange_online(url):
        row = _CLOSED
    elif 300 <= status < 400:
        row = _REDIRECT
    else:
        row = _STATUSES.get(
            status,
            (ExchangeUnavailable, _MINUTES, f"Exchange answered with HTTP {status}. Check the Exchange URL."),
        )
    kind, pause, text = row
    if issubclass(kind, ExchangeUnavailable) and status in (429, 503):
        pause = _retry_after(headers) or pause
    return kind(f"HTTP {status}", text, retry_after=pause)
