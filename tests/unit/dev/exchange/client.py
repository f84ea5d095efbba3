"""A small EWS client for tests of the simulator: one TCP connection, NTLM, requests as text."""

from __future__ import annotations

import base64
import hashlib
import ssl
from types import TracebackType
from typing import Self

import httpx
import spnego
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from spnego.channel_bindings import GssChannelBindings

from dev.exchange import ExchangeSimulator

M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
E = "{http://schemas.microsoft.com/exchange/services/2006/errors}"
ANNA = "anna@example.com"

FIND_PROPERTIES = "".join(
    f'<t:FieldURI FieldURI="{field}"/>'
    for field in (
        "item:Subject",
        "item:Sensitivity",
        "calendar:Start",
        "calendar:End",
        "calendar:IsAllDayEvent",
        "calendar:LegacyFreeBusyStatus",
        "calendar:IsCancelled",
        "calendar:CalendarItemType",
        "calendar:MyResponseType",
        "calendar:Organizer",
        "calendar:UID",
    )
)


def envelope(body: str, *, who: str | None = ANNA, version: str | None = "Exchange2013_SP1") -> str:
    """A whole request; ``who`` is impersonated."""
    header = f'<t:RequestServerVersion Version="{version}"/>' if version else ""
    if who:
        header += (
            "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>"
            f"{who}</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>"
        )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:t="{T[1:-1]}" xmlns:m="{M[1:-1]}"><soap:Header>{header}</soap:Header>'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    )


def find_item(
    start: str,
    end: str,
    *,
    most: int | None = 1000,
    properties: str = FIND_PROPERTIES,
    folder: str = '<t:DistinguishedFolderId Id="calendar"/>',
) -> str:
    limit = f'MaxEntriesReturned="{most}" ' if most is not None else ""
    return (
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
        f"<t:AdditionalProperties>{properties}</t:AdditionalProperties></m:ItemShape>"
        f'<m:CalendarView {limit}StartDate="{start}" EndDate="{end}"/>'
        f"<m:ParentFolderIds>{folder}</m:ParentFolderIds></m:FindItem>"
    )


def get_item(*identifiers: str) -> str:
    items = "".join(f'<t:ItemId Id="{identifier}"/>' for identifier in identifiers)
    return (
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
        '<t:FieldURI FieldURI="calendar:Organizer"/></t:AdditionalProperties></m:ItemShape>'
        f"<m:ItemIds>{items}</m:ItemIds></m:GetItem>"
    )


def resolve_names(entry: str, scope: str = "ActiveDirectory") -> str:
    return (
        f'<m:ResolveNames ReturnFullContactData="true" SearchScope="{scope}">'
        f"<m:UnresolvedEntry>{entry}</m:UnresolvedEntry></m:ResolveNames>"
    )


def subscribe(url: str, *, frequency: int | str = 30, events: str = "", watermark: str = "") -> str:
    kinds = events or "CreatedEvent ModifiedEvent DeletedEvent MovedEvent"
    return (
        "<m:Subscribe><m:PushSubscriptionRequest>"
        '<t:FolderIds><t:DistinguishedFolderId Id="calendar"/></t:FolderIds><t:EventTypes>'
        + "".join(f"<t:EventType>{kind}</t:EventType>" for kind in kinds.split())
        + "</t:EventTypes>"
        + (f"<t:Watermark>{watermark}</t:Watermark>" if watermark else "")
        + f"<t:StatusFrequency>{frequency}</t:StatusFrequency><t:URL>{url}</t:URL>"
        "</m:PushSubscriptionRequest></m:Subscribe>"
    )


class Client:
    """One TCP connection to a simulator, signed in by NTLM unless ``sign_in`` is false."""

    def __init__(
        self,
        exchange: ExchangeSimulator,
        *,
        user: str | None = None,
        password: str | None = None,
        sign_in: bool = True,
        binding: bytes | None = None,
    ) -> None:
        self._exchange = exchange
        self._user, self._password = user or exchange.user, password or exchange.password
        self._sign_in = sign_in
        self._binding = binding
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(cadata=exchange.ca_pem.decode()),
            limits=httpx.Limits(max_connections=1),
            timeout=10,
        )

    async def __aenter__(self) -> Self:
        if self._sign_in:
            assert (await self.negotiate()).status_code != 401
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def post(self, content: str | bytes, **headers: str) -> httpx.Response:
        """``content`` as it is, with the headers a good client sends (``X_Name`` for ``X-Name``)."""
        given = {"Content-Type": "text/xml; charset=utf-8", "X-AnchorMailbox": ANNA}
        given |= {name.replace("_", "-"): value for name, value in headers.items() if value}
        given = {name: value for name, value in given.items() if headers.get(name.replace("-", "_")) != ""}
        return await self._http.post(self._exchange.ews_url, content=content, headers=given)

    async def ask(self, body: str, *, who: str | None = ANNA) -> etree._Element:
        """The envelope that answers an operation."""
        response = await self.post(envelope(body, who=who))
        return etree.fromstring(response.content)

    async def read_subjects(self, start: str, end: str, **options: int) -> list[str | None]:
        answer = await self.ask(find_item(start, end, **options))  # type: ignore[arg-type]
        return [item.findtext(f"{T}Subject") for item in answer.iter(f"{T}CalendarItem")]

    async def negotiate(self, scheme: str = "NTLM") -> httpx.Response:
        """Sign the connection in. Returns the last answer."""
        bindings = GssChannelBindings(application_data=self._binding) if self._binding else None
        context = spnego.client(
            self._user,
            self._password,
            protocol="ntlm" if scheme == "NTLM" else "negotiate",
            options=spnego.NegotiateOptions.use_ntlm
            if scheme == "NTLM"
            else spnego.NegotiateOptions.use_negotiate,
            channel_bindings=bindings,
        )
        token = context.step()
        for _ in range(3):
            assert token is not None
            authorization = f"{scheme} {base64.b64encode(token).decode()}"
            response = await self._http.get(self._exchange.ews_url, headers={"Authorization": authorization})
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status_code != 401 or not challenge.startswith(f"{scheme} "):
                return response
            token = context.step(base64.b64decode(challenge.removeprefix(f"{scheme} ").partition(",")[0]))
        return response


def server_end_point(exchange: ExchangeSimulator) -> bytes:
    """The tls-server-end-point binding of the simulator's certificate, made from its PEM."""
    certificate = x509.load_pem_x509_certificate(exchange.certificate_pem)
    return b"tls-server-end-point:" + hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def code(answer: etree._Element) -> str | None:
    """The ResponseCode of a fault or of the first response message."""
    return answer.findtext(f".//{E}ResponseCode") or answer.findtext(f".//{M}ResponseCode")
