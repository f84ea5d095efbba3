"""SOAP 1.1 envelopes as Exchange reads and writes them, and the errors it answers with.

Answers are written as text: Exchange writes characters that XML forbids as references (``&#x1F;``), which no
XML library would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
S, M, T = f"{{{SOAP}}}", f"{{{MESSAGES}}}", f"{{{TYPES}}}"

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

TEXTS = {
    "ErrorADUnavailable": "Active Directory is unavailable. Try again later.",
    "ErrorAccessDenied": "Access is denied. Check credentials and try again.",
    "ErrorCalendarEndDateIsEarlierThanStartDate": "EndDate is earlier than StartDate",
    "ErrorCalendarFolderIsInvalidForCalendarView": "CalendarView can be used only with a calendar folder.",
    "ErrorCalendarViewRangeTooBig": "The specified view range exceeds the maximum range of two years.",
    "ErrorConnectionFailed": "Connection failed. Try again later.",
    "ErrorExceededConnectionCount": "You have exceeded the available concurrent connections for your "
    "account. Try again once your other requests have completed.",
    "ErrorExceededSubscriptionCount": "You have exceeded the available subscriptions for your account. "
    "Remove unnecessary subscriptions and try your request again.",
    "ErrorFolderNotFound": "The specified folder could not be found in the store.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
    "ErrorImpersonationDenied": "The account does not have permission to use impersonation.",
    "ErrorInternalServerError": "An internal server error occurred. The operation failed.",
    "ErrorInvalidIdMalformed": "Id is malformed.",
    "ErrorInvalidPushSubscriptionUrl": "The push notification URL is invalid.",
    "ErrorInvalidServerVersion": "The specified server version is invalid.",
    "ErrorInvalidSubscription": "The subscription ID is invalid.",
    "ErrorInvalidWatermark": "The watermark used for creating this subscription was not found.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorMailboxFailover": "The mailbox database failed over. Try again later.",
    "ErrorMailboxMoveInProgress": "Mailbox move in progress. Try again later.",
    "ErrorMailboxStoreUnavailable": "The mailbox database is temporarily unavailable.",
    "ErrorMissingEmailAddress": "When making a request as an account that does not have a mailbox, you must "
    "specify the mailbox primary SMTP address for any distinguished folder Ids.",
    "ErrorNameResolutionMultipleResults": "Multiple results were found.",
    "ErrorNameResolutionNoMailbox": "Name resolution cannot be performed because the calling user has no "
    "mailbox.",
    "ErrorNameResolutionNoResults": "No results were found.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorReadEventsFailed": "Reading events from the store failed.",
    "ErrorSchemaValidation": "The request failed schema validation.",
    "ErrorServerBusy": "The server cannot service this request right now. Try again later.",
    "ErrorSubscriptionDelegateAccessNotSupported": "Subscriptions are not supported for delegate user "
    "access.",
    "ErrorTooManyObjectsOpened": "Too many concurrently opened objects.",
}


class Refusal(Exception):
    """Exchange's answer to what it can't do: a code of ResponseCodeType, a text, and named values."""

    def __init__(self, code: str, text: str = "", values: dict[str, str] | None = None) -> None:
        self.code = code
        self.text = text or TEXTS.get(code, "The operation failed.")
        self.values = values or {}
        super().__init__(f"{self.code}: {self.text}")


class ServerFault(Refusal):
    """The whole request is refused: HTTP 500 with a SOAP fault."""


class MessageError(Refusal):
    """One part of the request is refused: HTTP 200 with a response message of class Error."""


@dataclass(frozen=True, slots=True)
class Request:
    """An EWS request. ``identity`` is the impersonated address with the element's name it came in."""

    operation: str
    body: etree._Element
    version: str | None
    identity: tuple[str, str] | None


def parse_envelope(content: bytes) -> tuple[etree._Element, etree._Element | None]:
    """The operation's element and the header. Raises ServerFault (ErrorSchemaValidation)."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        envelope = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ServerFault(
            "ErrorSchemaValidation", f"The request failed schema validation: {error}"
        ) from error
    if envelope.tag != f"{S}Envelope" or b"<!DOCTYPE" in content:
        raise violation(envelope, "a SOAP 1.1 envelope without a document type is expected")
    parts = list(envelope)
    header = parts.pop(0) if parts and parts[0].tag == f"{S}Header" else None
    if len(parts) != 1 or parts[0].tag != f"{S}Body" or len(parts[0]) != 1:
        raise violation(envelope, "exactly one Body with one operation is expected")
    return parts[0][0], header


def violation(element: etree._Element, what: str) -> ServerFault:
    """The fault for an element that the schema doesn't allow so."""
    where = {"LineNumber": str(element.sourceline or 0), "LinePosition": "0", "Violation": what}
    return ServerFault("ErrorSchemaValidation", f"The request failed schema validation: {what}", where)


def escape(text: str) -> str:
    """Text for content or a quoted attribute, forbidden characters as references."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return _FORBIDDEN.sub(lambda match: f"&#x{ord(match[0]):X};", text)


def write_fault(fault: ServerFault) -> str:
    """The envelope of a SOAP fault."""
    code, text = escape(fault.code), escape(fault.text)
    return (
        f'{_DECLARATION}<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault>'
        f'<faultcode xmlns:a="{TYPES}">a:{code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}">{code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{text}</e:Message>{_fault_values(fault.values)}'
        "</detail></s:Fault></s:Body></s:Envelope>"
    )


def _fault_values(values: dict[str, str]) -> str:
    if not values:
        return ""
    places = ("LineNumber", "LinePosition", "Violation")
    entries = "".join(
        f"<t:{name}>{escape(value)}</t:{name}>"
        if name in places
        else f'<t:Value Name="{escape(name)}">{escape(value)}</t:Value>'
        for name, value in values.items()
    )
    return f'<t:MessageXml xmlns:t="{TYPES}">{entries}</t:MessageXml>'


def write_response(operation: str, messages: list[str], version: str) -> str:
    """The envelope of an operation's response; ``version`` is like 15.2.1748.10."""
    major, minor, build, revision = version.split(".")
    return (
        f'{_DECLARATION}<s:Envelope xmlns:s="{SOAP}"><s:Header><h:ServerVersionInfo MajorVersion="{major}" '
        f'MinorVersion="{minor}" MajorBuildNumber="{build}" MinorBuildNumber="{revision}" '
        f'Version="V2017_07_11" xmlns:h="{TYPES}"/></s:Header><s:Body>'
        f'<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
        f"{''.join(messages)}</m:ResponseMessages></m:{operation}Response></s:Body></s:Envelope>"
    )


def success(operation: str, content: str) -> str:
    """A response message that carries ``content`` (XML)."""
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{content}</m:{operation}ResponseMessage>"
    )


def failure(operation: str, refusal: Refusal, *, response_class: str = "Error", content: str = "") -> str:
    """A response message of class Error, or Warning with ``content`` (XML)."""
    values = "".join(
        f'<t:Value Name="{escape(name)}">{escape(value)}</t:Value>' for name, value in refusal.values.items()
    )
    values = f"<m:MessageXml>{values}</m:MessageXml>" if values else ""
    return (
        f'<m:{operation}ResponseMessage ResponseClass="{response_class}">'
        f"<m:MessageText>{escape(refusal.text)}</m:MessageText>"
        f"<m:ResponseCode>{escape(refusal.code)}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>"
        f"{values}{content}</m:{operation}ResponseMessage>"
    )
