"""The SOAP 1.1 envelope around every EWS message: read it safely, match by namespace, find the code.

Bodies come from mailboxes, proxies and, for notifications, from anybody. Hence no DTD, no entities, no
network, a size limit; characters that XML forbids are stripped, since subjects hold them in the field; but
a damaged structure is refused, because a cut-off calendar would read like an empty one.

Sources: SOAP 1.1 section 4; MS-OXWSCDATA (ResponseMessageType, ResponseCodeType); XML 1.0 section 2.2.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from lxml import etree

from shared.errors import ExchangeUnavailable, MailboxError

SOAP_NS = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES_NS = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES_NS = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS_NS = "http://schemas.microsoft.com/exchange/services/2006/errors"
SOAP, MESSAGES, TYPES, ERRORS = (f"{{{ns}}}" for ns in (SOAP_NS, MESSAGES_NS, TYPES_NS, ERRORS_NS))

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a decompressed body; a bigger one is refused."""

NOT_FROM_EXCHANGE = frozenset({"Unreadable", "WebPage"})
"""The codes of ours for a body that is no message of Exchange."""

type Element = etree._Element

_ENCODINGS = {"utf-8", "ascii", "iso8859-1", "cp1252"}
_DECLARATION = re.compile(r"\A\s*<\?xml\s[^>]*\?>")
_DECLARED = re.compile(r"\sencoding\s*=\s*[\"']([A-Za-z0-9._-]+)")
_WEB_PAGE = re.compile(r"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,12})|([0-9]{1,12}));")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,79}")

_HARMLESS = {
    # libxml2's error numbers (xmlerror.h) of faults within a text, which recovery leaves out
    8,  # a reference to a forbidden character
    9,  # a forbidden character
    23,  # a reference without its semicolon
    26,  # an undeclared entity, such as &nbsp;
    68,  # an ampersand on its own
}


def unreadable(why: str) -> MailboxError:
    """The error for a message that cannot be understood; ``why`` is half a sentence without content of it."""
    return MailboxError(
        "Unreadable",
        f"The message of Exchange cannot be read: {why}.",
        retry_after=timedelta(minutes=1),
    )


def _decode(body: bytes) -> str:
    if len(body) > MAX_BODY:
        raise unreadable(f"it is bigger than {MAX_BODY // 1024**2} MiB")
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", errors="replace")
    body = body.removeprefix(codecs.BOM_UTF8)
    declaration = _DECLARATION.match(body[:200].decode("latin-1"))
    declared = declaration and _DECLARED.search(declaration[0])
    try:
        name = codecs.lookup(declared[1]).name if declared else "utf-8"
    except LookupError:
        name = "unknown"
    if name == "utf-16":  # declared by gateways that wrote the text as UTF-8 afterwards
        name = "utf-8"
    if name not in _ENCODINGS:
        raise unreadable("its encoding is none that Exchange uses")
    return body.decode(name, errors="replace")


def _legal_reference(match: re.Match[str]) -> str:
    point = int(match[1], 16) if match[1] else int(match[2])
    return match[0] if point <= 0x10FFFF and not _FORBIDDEN.match(chr(point)) else ""


def _ends_with(text: str, root: Element) -> bool:
    """Whether the text ends where the root element does; recovery closes a cut-off one in silence."""
    name = etree.QName(root).localname
    tag = f"{root.prefix}:{name}" if root.prefix else name
    return re.search(rf"(</{re.escape(tag)}\s*|<{re.escape(tag)}[^<>]*/)>\s*\Z", text[-1000:]) is not None


def parse_document(body: bytes) -> Element:
    """The root element of an XML document of at most ``MAX_BODY`` bytes.

    Forbidden characters, and references to them, are left out. Raises MailboxError for what is no sound XML
    (too big, cut off, damaged, with a DTD) and ExchangeUnavailable for a web page.
    """
    text = _DECLARATION.sub("", _decode(body))
    if _WEB_PAGE.match(text):
        raise ExchangeUnavailable(
            "WebPage",
            "A web page (HTML) answered in place of Exchange, as the sign-in page of a proxy does. "
            "Check the address of Exchange and exempt it from the proxy's sign-in.",
            retry_after=timedelta(minutes=5),
        )
    if "<!DOCTYPE" in text:
        raise unreadable("it brings a document type definition")
    text = _REFERENCE.sub(_legal_reference, _FORBIDDEN.sub("", text))
    parser = etree.XMLParser(
        encoding="utf-8",
        recover=True,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.LxmlError, ValueError) as error:
        raise unreadable("it is no XML") from error
    faults = {entry.type for entry in parser.error_log if entry.level >= etree.ErrorLevels.ERROR}
    if root is None or not faults <= _HARMLESS or not _ends_with(text, root):
        raise unreadable("it is cut off or damaged")
    return root


def parse_envelope(body: bytes) -> Element:
    """The SOAP envelope in ``body``, with a Body that holds something. Raises as parse_document."""
    root = parse_document(body)
    if root.tag != f"{SOAP}Envelope":
        raise unreadable("it is no SOAP 1.1 envelope")
    if next(root.iterfind(f"{SOAP}Body/*"), None) is None:
        raise unreadable("its SOAP body is empty")
    return root


def body_of(envelope: Element, *names: str) -> Element:
    """The message in the envelope, which must be one of ``names`` of the messages namespace."""
    message = next(envelope.iterfind(f"{SOAP}Body/*"))
    if message.tag not in {MESSAGES + name for name in names}:
        raise unreadable(f"it is no {' or '.join(names)}")
    return message


def full_text(element: Element) -> str:
    """All text within the element, as it stands."""
    return "".join(str(text) for text in element.itertext())


def text_at(parent: Element | None, path: str, default: str = "") -> str:
    """The text under ``path``, white space around it stripped; ``default`` where there is none."""
    found = None if parent is None else parent.find(path)
    return default if found is None else full_text(found).strip()


def flag(value: str | None, default: bool) -> bool:
    """An xs:boolean in any of its spellings."""
    return {"true": True, "1": True, "false": False, "0": False}.get((value or "").strip().lower(), default)


def server_version(envelope: Element) -> str | None:
    """``15.1.2176.12`` from ServerVersionInfo in the header, or None."""
    info = envelope.find(f"{SOAP}Header/{TYPES}ServerVersionInfo")
    if info is None:
        return None
    names = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")
    numbers = [info.get(name, "") for name in names]
    return ".".join(n for n in numbers if n.isascii() and n.isdigit()) or None


@dataclass(frozen=True, slots=True)
class Code:
    """Exchange's verdict: a ResponseCode, the code within it, and the pause it asks for."""

    code: str
    inner: str = ""
    back_off: timedelta | None = None


def _values(parent: Element) -> dict[str, str]:
    """The named values in MessageXml, whose namespace is t in a fault, m in a response."""
    values = parent.iterfind(f"{{*}}MessageXml/{TYPES}Value")
    return {value.get("Name", ""): full_text(value).strip() for value in values}


def _code(text: str) -> str:
    return text if _CODE.fullmatch(text) else "Unknown"


def _verdict(code: str, parent: Element) -> Code:
    values = _values(parent)
    milliseconds = values.get("BackOffMilliseconds", "")
    back_off = None
    if milliseconds.isascii() and milliseconds.isdigit():
        back_off = timedelta(milliseconds=min(int(milliseconds[:12]), 86_400_000))
    return Code(_code(code), values.get("InnerErrorResponseCode", ""), back_off)


def fault_in(envelope: Element) -> Code | None:
    """The verdict of a SOAP fault, or None where the envelope holds none."""
    fault = envelope.find(f"{SOAP}Body/{SOAP}Fault")
    if fault is None:
        return None
    detail = fault.find("detail")
    code = text_at(detail, f"{ERRORS}ResponseCode") or text_at(fault, "faultcode").rpartition(":")[2]
    return _verdict(code, fault if detail is None else detail)


@dataclass(frozen=True, slots=True)
class ResponseMessage:
    """One of the answers in a response; ``error`` is None for a success or a mere warning."""

    element: Element
    code: str
    error: Code | None
    values: dict[str, str]


def response_messages(message: Element) -> Iterator[ResponseMessage]:
    """The answers that a response, or a SendNotification, consists of: at least one.

    An answer is an error when it says so, or when it holds the code of one and does not call it a warning.
    """
    answers = message.findall(f"{MESSAGES}ResponseMessages/{MESSAGES}*")
    if not answers:
        raise unreadable("it holds no response message")
    for answer in answers:
        code = text_at(answer, f"{MESSAGES}ResponseCode", "NoError")
        kind = answer.get("ResponseClass", "").strip()
        failed = kind == "Error" or (kind != "Warning" and code != "NoError")
        error = _verdict(code, answer) if failed else None
        yield ResponseMessage(answer, _code(code), error, _values(answer))
