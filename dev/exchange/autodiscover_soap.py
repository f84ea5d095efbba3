"""SOAP autodiscover: GetUserSettings, for the settings that lead to EWS.

Published source: MS-OXWSADISC.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from aiohttp import web
from lxml import etree

if TYPE_CHECKING:
    from dev.exchange.autodiscover import Reply

PATH = "/autodiscover/autodiscover.svc"
_A = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_S = "http://schemas.xmlsoap.org/soap/envelope/"
_SCHEMAS = "Exchange2007, Exchange2007_SP1, Exchange2010, Exchange2010_SP1, Exchange2010_SP2, Exchange2013"


@dataclass(frozen=True, slots=True)
class Request:
    """Whose settings are asked for, and which."""

    addresses: list[str]
    settings: list[str]


def read_request(content: bytes) -> Request | None:
    """None for what is no GetUserSettings request."""
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    request = root.find(f"{{{_S}}}Body/{{{_A}}}GetUserSettingsRequestMessage/{{{_A}}}Request")
    if request is None:
        return None
    addresses = request.findall(f"{{{_A}}}Users/{{{_A}}}User/{{{_A}}}Mailbox")
    settings = request.findall(f"{{{_A}}}RequestedSettings/{{{_A}}}Setting")
    return Request([each.text or "" for each in addresses], [each.text or "" for each in settings])


def answer(request: Request, reply: Reply, known: Collection[str], version: str) -> web.Response:
    """What a site whose `reply` it is says; ``known`` are all mailboxes' addresses, in lower case."""
    users = "".join(_user(address, request.settings, reply, known) for address in request.addresses)
    return _envelope(
        f"<ErrorCode>NoError</ErrorCode><ErrorMessage/><UserResponses>{users}</UserResponses>", version
    )


def refuse(version: str) -> web.Response:
    """The answer to what is no request."""
    return _envelope("<ErrorCode>InvalidRequest</ErrorCode><ErrorMessage>No request.</ErrorMessage>", version)


def _user(address: str, wanted: list[str], reply: Reply, known: Collection[str]) -> str:
    if reply.kind == "redirect_address":
        return _response("RedirectAddress", "Redirected.", target=reply.address)
    if reply.kind == "redirect_url":
        return _response("RedirectUrl", "Redirected.", target=reply.url)
    if reply.kind == "error" or address.lower() not in known:
        return _response(reply.code or "InvalidUser", f"Invalid user: '{escape(address)}'")
    values = {
        "InternalEwsUrl": reply.internal,
        "ExternalEwsUrl": reply.external,
        "EwsSupportedSchemas": _SCHEMAS,
    }
    given = {name: values[name] for name in wanted if values.get(name)}
    settings = "".join(
        f'<UserSetting i:type="StringSetting"><Name>{name}</Name><Value>{escape(value)}</Value></UserSetting>'
        for name, value in given.items()
    )
    errors = "".join(
        "<UserSettingError><ErrorCode>SettingIsNotAvailable</ErrorCode><ErrorMessage>Not available."
        f"</ErrorMessage><SettingName>{escape(name)}</SettingName></UserSettingError>"
        for name in wanted
        if name not in given
    )
    return _response("NoError", "No error.", settings=settings, errors=errors)


def _response(code: str, text: str, *, target: str = "", settings: str = "", errors: str = "") -> str:
    redirect = (
        f"<RedirectTarget>{escape(target)}</RedirectTarget>" if target else '<RedirectTarget i:nil="true"/>'
    )
    return (
        f"<UserResponse><ErrorCode>{escape(code)}</ErrorCode><ErrorMessage>{text}</ErrorMessage>{redirect}"
        f"<UserSettingErrors>{errors}</UserSettingErrors><UserSettings>{settings}</UserSettings></UserResponse>"
    )


def _envelope(response: str, version: str) -> web.Response:
    major, minor, build, revision = version.split(".")
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_S}" '
        'xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action s:mustUnderstand="1">'
        f"{_A}/Autodiscover/GetUserSettingsResponse</a:Action>"
        f'<h:ServerVersionInfo xmlns:h="{_A}"><h:MajorVersion>{major}</h:MajorVersion>'
        f"<h:MinorVersion>{minor}</h:MinorVersion><h:MajorBuildNumber>{build}</h:MajorBuildNumber>"
        f"<h:MinorBuildNumber>{revision}</h:MinorBuildNumber></h:ServerVersionInfo></s:Header>"
        f'<s:Body><GetUserSettingsResponseMessage xmlns="{_A}"><Response '
        f'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{response}</Response>'
        "</GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    )
    return web.Response(text=text, content_type="text/xml")
