"""Autodiscover on any number of host names: the JSON of its second version, plain XML (POX), SOAP, and all
that stands in its place: web sites, redirections, certificates for other names.

Published sources: MS-OXDISCO, MS-OXDSCLI; Microsoft, *Autodiscover for Exchange* (autodiscover.json).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import unquote

from aiohttp import web
from lxml import etree

from dev.exchange import autodiscover_soap as soap
from dev.exchange.certificates import CERTIFICATES, Certificate, Certificates
from dev.exchange.mailboxes import Directory
from dev.exchange.signin import SignIn
from dev.exchange.soap import escape

JSON_PATH = "/autodiscover/autodiscover.json"
POX_PATH = "/autodiscover/autodiscover.xml"

_REQUEST = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_BASE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_ERRORS = {"500": "The email address can't be found.", "600": "Invalid Request"}
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"

KINDS: dict[str, frozenset[str]] = {
    "url": frozenset({"json"}),
    "json_error": frozenset({"json"}),
    "settings": frozenset({"pox", "soap"}),
    "redirect_address": frozenset({"pox", "soap"}),
    "redirect_url": frozenset({"pox", "soap"}),
    "error": frozenset({"pox", "soap"}),
    "location": frozenset({"json", "pox", "soap"}),
    "page": frozenset({"json", "pox", "soap"}),
    "hang": frozenset({"json", "pox", "soap"}),
    "close": frozenset({"json", "pox", "soap"}),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What one of the two endpoints answers; ``kind`` says which of the other fields count.

    ``url``: JSON with ``url``. ``json_error``: JSON with ``code``. ``settings``: ``internal`` (EXCH),
    ``external`` (EXPR) and ``exhttp`` (only told to who can handle it), in ``element``. ``redirect_address``:
    to ``address``. ``redirect_url``: to ``url``. ``error``: ``code`` 500 or 600. ``location``: an HTTP
    redirection to ``url``. ``page``: HTML. The last three of KINDS have an HTTP ``status`` or none.
    """

    kind: str
    url: str = ""
    address: str = ""
    code: str = ""
    internal: str = ""
    external: str = ""
    exhttp: str = ""
    element: Literal["EwsUrl", "ASUrl"] = "EwsUrl"
    status: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """What a host name answers over https or http; without a reply an endpoint is a page not found.

    POX and SOAP sign in (NTLM) on https unless ``sign_in`` is False. HTTP has no certificate and asks nobody.
    """

    host: str
    scheme: Literal["https", "http"] = "https"
    certificate: Certificate = "good"
    json: Reply | None = None
    pox: Reply | None = None
    soap: Reply | None = None
    sign_in: bool = True

    def write(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came. ``credentials`` is the scheme of its Authorization header, or empty."""

    scheme: str
    host: str
    method: str
    path: str
    credentials: str


def read_site(data: Mapping[str, Any]) -> Site:
    """Raises ValueError with a sentence about what is wrong."""
    values = dict(data)
    for endpoint in ("json", "pox", "soap"):
        if isinstance(values.get(endpoint), Mapping):
            values[endpoint] = _read_reply(endpoint, values[endpoint])
    try:
        site = Site(**values)
    except TypeError as error:
        raise ValueError(f"site: {error}") from error
    if site.scheme not in ("https", "http"):
        raise ValueError(f"scheme: {site.scheme!r} is neither https nor http")
    if site.certificate not in CERTIFICATES:
        raise ValueError(f"certificate: {site.certificate!r} is none of {', '.join(CERTIFICATES)}")
    return site


def _read_reply(endpoint: str, data: Mapping[str, Any]) -> Reply:
    kind = data.get("kind", "")
    if endpoint not in KINDS.get(kind, ()):
        kinds = [name for name, endpoints in KINDS.items() if endpoint in endpoints]
        raise ValueError(f"{endpoint}: {kind!r} is none of {', '.join(kinds)}")
    try:
        return Reply(**data)
    except TypeError as error:
        raise ValueError(f"{endpoint}: {error}") from error


def encode_server_version(version: str) -> str:
    """``73C28691`` for 15.2.1681.x: 4 bits of flags, 6 major, 6 minor, 1 set, 15 build."""
    major, minor, build = (int(part) for part in version.split(".")[:3])
    return f"{7 << 28 | major << 22 | minor << 16 | 1 << 15 | build:08X}"


class Autodiscover:
    """The sites, and the requests that came to them in ``asked``."""

    def __init__(
        self, directory: Directory, sign_in: SignIn, certificates: Certificates, *, version: str
    ) -> None:
        self._directory = directory
        self._sign_in = sign_in
        self._certificates = certificates
        self._version = version
        self._sites: dict[tuple[str, str], Site] = {}
        self.asked: list[Asked] = []

    @property
    def sites(self) -> list[Site]:
        return list(self._sites.values())

    def find(self, scheme: str, host: str) -> Site | None:
        """What is published under a host name."""
        return self._sites.get((scheme, host.lower()))

    def publish(self, sites: Iterable[Mapping[str, Any]]) -> None:
        """Replace all sites, all or none, and forget what was asked. Raises ValueError."""
        read = [read_site(site) for site in sites]
        for _, host in self._sites:
            self._certificates.withdraw(host)
        self._sites = {(site.scheme, site.host.lower()): site for site in read}
        self.asked.clear()
        for site in read:
            if site.scheme == "https":
                self._certificates.publish(site.host, site.certificate)
        self._sign_in.bind(self._certificates.known)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The handler for every path that is not EWS."""
        host = request.host.partition(":")[0].lower()
        credentials = request.headers.get("Authorization", "").partition(" ")[0]
        self.asked.append(Asked(request.scheme, host, request.method, request.path_qs, credentials))
        content = await request.read()
        site = self.find(request.scheme, host)
        path = request.path.lower()
        if site is not None and path.startswith(JSON_PATH):
            return await self._answer_json(request, site)
        if site is not None and path == POX_PATH:
            answer = await self._answer_pox(request, site, content)
            if site.soap is not None:
                answer.headers["X-SOAP-Enabled"] = "True"
            return answer
        if site is not None and path == soap.PATH:
            return await self._answer_soap(request, site, content)
        return _page(404)

    async def _answer_json(self, request: web.Request, site: Site) -> web.StreamResponse:
        reply = site.json
        if reply is None or reply.kind in ("location", "page", "hang", "close"):
            return await _answer_plainly(request, reply)
        protocol = request.query.get("Protocol", "")
        if not protocol:
            text = "A valid value must be provided for the query parameter 'Protocol'."
            return _json_error("MissingProtocol", text)
        supported = ("ActiveSync", "AutodiscoverV1", "Ews")
        if protocol.lower() not in map(str.lower, supported) or reply.kind == "json_error":
            code = reply.code or "InvalidProtocol"
            text = f"The given protocol value '{protocol}' is invalid. Supported values are "
            return _json_error(code, f"{text}'{','.join(supported)}'")
        if "@" not in unquote(request.path):
            return _json_error("InvalidSmtpAddress", "The address is no SMTP address.")
        return web.json_response({"Protocol": protocol, "Url": reply.url})

    async def _answer_pox(self, request: web.Request, site: Site, content: bytes) -> web.StreamResponse:
        reply = site.pox
        if reply is None or reply.kind in ("location", "page", "hang", "close"):
            return await _answer_plainly(request, reply)
        if site.scheme == "https" and site.sign_in and (refusal := await self._sign_in.refuse(request)):
            return refusal
        address = _address_in(content) if request.method == "POST" else None
        if address is None:
            return _pox_error("600")
        if reply.kind == "error":
            return _pox_error(reply.code or "500")
        if reply.kind == "redirect_address":
            return _account("redirectAddr", f"<RedirectAddr>{escape(reply.address)}</RedirectAddr>")
        if reply.kind == "redirect_url":
            return _account("redirectUrl", f"<RedirectUrl>{escape(reply.url)}</RedirectUrl>")
        if not any(address.lower() in map(str.lower, mailbox.addresses) for mailbox in self._directory):
            return _pox_error("500")
        return self._settings(reply, "ExHttpInfo" in request.headers.get("X-ClientCanHandle", ""))

    async def _answer_soap(self, request: web.Request, site: Site, content: bytes) -> web.StreamResponse:
        reply = site.soap
        if reply is None or reply.kind in ("location", "page", "hang", "close"):
            return await _answer_plainly(request, reply)
        if site.scheme == "https" and site.sign_in and (refusal := await self._sign_in.refuse(request)):
            return refusal
        asked = soap.read_request(content) if request.method == "POST" else None
        if asked is None:
            return soap.refuse(self._version)
        known = {address.lower() for mailbox in self._directory for address in mailbox.addresses}
        return soap.answer(asked, reply, known, self._version)

    def _settings(self, reply: Reply, can_handle_http: bool) -> web.Response:
        version = f"<ServerVersion>{encode_server_version(self._version)}</ServerVersion>"
        protocols = [("EXCH", version, reply.internal), ("EXPR", "", reply.external)]
        if can_handle_http:
            protocols.append(("EXHTTP", "", reply.exhttp))
        return _account(
            "settings",
            "".join(
                f"<Protocol><Type>{kind}</Type>{extra}"
                + (f"<{reply.element}>{escape(url)}</{reply.element}>" if url else "")
                + "</Protocol>"
                for kind, extra, url in protocols
                if url or extra
            ),
        )


def _address_in(content: bytes) -> str | None:
    """The address that a POX request asks for, or None for what is no such request."""
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    if root.findtext(f"{{{_REQUEST}}}Request/{{{_REQUEST}}}AcceptableResponseSchema") != _OUTLOOK:
        return None
    return root.findtext(f"{{{_REQUEST}}}Request/{{{_REQUEST}}}EMailAddress") or None


async def _answer_plainly(request: web.Request, reply: Reply | None) -> web.StreamResponse:
    if reply is None:
        return _page(404)
    if reply.kind == "location":
        return web.Response(status=reply.status or 302, headers={"Location": reply.url})
    if reply.kind == "page":
        return _page(reply.status or 200)
    if reply.kind == "hang":
        await asyncio.sleep(3600)
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _page(status: int) -> web.Response:
    title = "Welcome" if status == 200 else f"Error {status}"
    return web.Response(status=status, text=_PAGE.format(title), content_type="text/html")


def _json_error(code: str, text: str) -> web.Response:
    return web.json_response({"ErrorCode": code, "ErrorMessage": text}, status=400)


def _pox(content: str, namespace: str) -> web.Response:
    text = (
        f'{_DECLARATION}<Autodiscover xmlns="{_BASE}"><Response xmlns="{namespace}">{content}'
        "</Response></Autodiscover>"
    )
    return web.Response(text=text, content_type="text/xml")


def _pox_error(code: str) -> web.Response:
    text = _ERRORS.get(code, "The operation failed.")
    return _pox(
        f'<Error Time="00:00:00.0000000" Id="1"><ErrorCode>{escape(code)}</ErrorCode>'
        f"<Message>{text}</Message><DebugData/></Error>",
        _BASE,
    )


def _account(action: str, content: str) -> web.Response:
    account = f"<Account><AccountType>email</AccountType><Action>{action}</Action>{content}</Account>"
    return _pox(account, _OUTLOOK)
