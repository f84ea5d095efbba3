"""The simulated Autodiscover: both protocols on several host names, and what stands in their place."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import spnego
from lxml import etree

from dev.exchange import ExchangeSimulator
from dev.exchange.autodiscover import encode_server_version
from tests.named_hosts import connect, settings

HOST = "autodiscover.example.com"
JSON = f"https://{HOST}/autodiscover/autodiscover.json/v1.0/anna@example.com"
POX = f"https://{HOST}/autodiscover/autodiscover.xml"
INSIDE, OUTSIDE = "https://in.example.com/EWS/Exchange.asmx", "https://mail.example.com/EWS/Exchange.asmx"
BASE = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"


@pytest.fixture
async def http(exchange: ExchangeSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=connect(exchange)) as client:
        yield client


def publish(exchange: ExchangeSimulator, **site: Any) -> None:
    exchange.autodiscover.publish([{"host": HOST, "sign_in": False, **site}])


def question(address: str = "anna@example.com", schema: str = OUTLOOK[1:-1]) -> str:
    namespace = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
    return (
        f'<Autodiscover xmlns="{namespace}"><Request><EMailAddress>{address}</EMailAddress>'
        f"<AcceptableResponseSchema>{schema}</AcceptableResponseSchema></Request></Autodiscover>"
    )


async def ask(http: httpx.AsyncClient, body: str | None = None, **headers: str) -> etree._Element:
    """POX's answer."""
    answer = await http.post(POX, content=body or question(), headers=headers)
    assert answer.status_code == 200
    return etree.fromstring(answer.content)


def addresses(answer: etree._Element, element: str = "EwsUrl") -> dict[str | None, str | None]:
    protocols = answer.iter(f"{OUTLOOK}Protocol")
    return {p.findtext(f"{OUTLOOK}Type"): p.findtext(f"{OUTLOOK}{element}") for p in protocols}


async def test_json_tells_the_address_without_a_sign_in(
    exchange: ExchangeSimulator, http: httpx.AsyncClient
) -> None:
    publish(exchange, json={"kind": "url", "url": OUTSIDE}, sign_in=True)
    assert (await http.get(f"{JSON}?Protocol=Ews")).json() == {"Protocol": "Ews", "Url": OUTSIDE}


@pytest.mark.parametrize(
    ("query", "reply", "code"),
    [
        ("", {"kind": "url", "url": OUTSIDE}, "MissingProtocol"),
        ("?Protocol=Foo", {"kind": "url", "url": OUTSIDE}, "InvalidProtocol"),
        ("?Protocol=Ews", {"kind": "json_error"}, "InvalidProtocol"),
        ("?Protocol=Ews", {"kind": "json_error", "code": "UserNotFound"}, "UserNotFound"),
    ],
)
async def test_json_refuses(
    exchange: ExchangeSimulator, http: httpx.AsyncClient, query: str, reply: Mapping[str, str], code: str
) -> None:
    publish(exchange, json=reply)
    answer = await http.get(JSON + query)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (400, code)


async def test_pox_tells_settings(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    exhttp = "https://x.example.com/EWS/Exchange.asmx"
    publish(exchange, pox=settings(internal=INSIDE, external=OUTSIDE, exhttp=exhttp))
    answer = await ask(http)
    assert answer.findtext(f".//{OUTLOOK}Action") == "settings"
    assert addresses(answer) == {"EXCH": INSIDE, "EXPR": OUTSIDE}
    assert answer.findtext(f".//{OUTLOOK}ServerVersion") == "73C286D4"  # 15.2.1748
    knowing = await ask(http, **{"X-ClientCanHandle": "ExHttpInfo"})
    assert addresses(knowing) == {"EXCH": INSIDE, "EXPR": OUTSIDE, "EXHTTP": exhttp}


async def test_pox_may_tell_the_internal_address_only(
    exchange: ExchangeSimulator, http: httpx.AsyncClient
) -> None:
    publish(exchange, pox=settings(internal=INSIDE, element="ASUrl"))
    answer = await ask(http)
    assert addresses(answer, "ASUrl") == {"EXCH": INSIDE}
    assert addresses(answer) == {"EXCH": None}


async def test_pox_redirects(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, pox={"kind": "redirect_address", "address": "anna@other.example"})
    answer = await ask(http)
    assert answer.findtext(f".//{OUTLOOK}Action") == "redirectAddr"
    assert answer.findtext(f".//{OUTLOOK}RedirectAddr") == "anna@other.example"
    publish(exchange, pox={"kind": "redirect_url", "url": "https://other.example/x?a&b"})
    answer = await ask(http)
    assert answer.findtext(f".//{OUTLOOK}Action") == "redirectUrl"
    assert answer.findtext(f".//{OUTLOOK}RedirectUrl") == "https://other.example/x?a&b"


@pytest.mark.parametrize(
    ("reply", "body", "code"),
    [
        ({"kind": "error", "code": "500"}, question(), "500"),
        ({"kind": "error", "code": "600"}, question(), "600"),
        (settings(external=OUTSIDE), question("nobody@example.com"), "500"),
        (settings(external=OUTSIDE), question(schema="other"), "600"),
        (settings(external=OUTSIDE), "no XML", "600"),
    ],
)
async def test_pox_refuses(
    exchange: ExchangeSimulator, http: httpx.AsyncClient, reply: Mapping[str, str], body: str, code: str
) -> None:
    publish(exchange, pox=reply)
    answer = await ask(http, body)
    assert answer.findtext(f"{BASE}Response/{BASE}Error/{BASE}ErrorCode") == code


async def test_pox_is_not_told_to_a_get(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, pox=settings(external=OUTSIDE))
    assert b"<ErrorCode>600<" in (await http.get(POX)).content


async def test_pox_signs_in_on_its_connection(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, pox=settings(external=OUTSIDE), sign_in=True)
    assert (await http.post(POX, content=question())).status_code == 401
    context = spnego.client(
        exchange.user, exchange.password, protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm
    )
    token = context.step()
    for _ in range(2):
        authorization = f"NTLM {base64.b64encode(token or b'').decode()}"
        answer = await http.post(POX, content=question(), headers={"Authorization": authorization})
        challenge = answer.headers.get("WWW-Authenticate", "").removeprefix("NTLM ")
        token = context.step(base64.b64decode(challenge)) if challenge else None
    assert answer.status_code == 200
    assert [asked.credentials for asked in exchange.autodiscover.asked] == ["", "NTLM", "NTLM"]


async def test_a_web_site_answers_in_its_place(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, json={"kind": "page"}, pox={"kind": "page", "status": 403})
    page = await http.get(JSON)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (await http.post(POX)).status_code == 403
    publish(exchange)
    assert (await http.get(JSON)).status_code == (await http.post(POX)).status_code == 404


async def test_plain_http_redirects(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, scheme="http", pox={"kind": "location", "url": POX})
    answer = await http.get(POX.replace("https:", "http:"))
    assert (answer.status_code, answer.headers["Location"]) == (302, POX)
    (asked,) = exchange.autodiscover.asked
    assert (asked.scheme, asked.host, asked.method, asked.credentials) == ("http", HOST, "GET", "")


@pytest.mark.parametrize("kind", ["foreign", "untrusted", "expired"])
async def test_a_bad_certificate(exchange: ExchangeSimulator, http: httpx.AsyncClient, kind: str) -> None:
    publish(exchange, certificate=kind)
    with pytest.raises(httpx.ConnectError, match="certificate"):
        await http.get(JSON)
    assert exchange.autodiscover.asked == []


async def test_ews_is_there_under_every_published_name(
    exchange: ExchangeSimulator, http: httpx.AsyncClient
) -> None:
    publish(exchange)
    assert (await http.get(f"https://{HOST}/EWS/Exchange.asmx")).status_code == 401


@pytest.mark.parametrize(
    ("site", "fault"),
    [
        ({"host": HOST, "json": {"kind": "settings"}}, "json: 'settings' is none of url"),
        ({"host": HOST, "pox": {"kind": "error", "colour": 1}}, "pox: "),
        ({"host": HOST, "certificate": "stolen"}, "certificate: 'stolen'"),
        ({"host": HOST, "scheme": "ftp"}, "scheme: 'ftp'"),
        ({"name": HOST}, "site: "),
    ],
)
async def test_sites_are_controlled_all_or_none(
    exchange: ExchangeSimulator, site: Mapping[str, Any], fault: str
) -> None:
    good = {"host": "good.example.com", "json": {"kind": "url", "url": OUTSIDE}}
    url = f"{exchange.control_url}/autodiscover"
    async with httpx.AsyncClient() as control:
        assert (await control.put(url, json={"sites": [good]})).json() == {"count": 1}
        refused = await control.put(url, json={"sites": [{"host": HOST}, site]})
        assert refused.status_code == 400
        assert refused.json()["error"].startswith(fault)
        (left,) = (await control.get(url)).json()["sites"]
    assert left["host"] == "good.example.com"
    assert left["json"]["url"] == OUTSIDE


def test_the_version_is_written_as_bits() -> None:
    assert encode_server_version("15.2.1691.5") == "73C2869B"
    assert encode_server_version("15.20.950.1") == "73D483B6"


async def test_no_answer(exchange: ExchangeSimulator, http: httpx.AsyncClient) -> None:
    publish(exchange, json={"kind": "close"}, pox={"kind": "hang"})
    with pytest.raises(httpx.TransportError):
        await http.get(JSON)
    with pytest.raises(httpx.ReadTimeout):
        await http.post(POX, timeout=0.2)


NAMESPACE = "{http://schemas.microsoft.com/exchange/2010/Autodiscover}"


async def get_user_settings(http: httpx.AsyncClient, body: str | None = None) -> etree._Element:
    """SOAP's answer about anna."""
    request = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<GetUserSettingsRequestMessage xmlns="{NAMESPACE[1:-1]}"><Request><Users><User>'
        "<Mailbox>Anna@example.com</Mailbox></User></Users><RequestedSettings>"
        "<Setting>ExternalEwsUrl</Setting><Setting>UserDN</Setting></RequestedSettings></Request>"
        "</GetUserSettingsRequestMessage></s:Body></s:Envelope>"
    )
    answer = await http.post(POX.replace(".xml", ".svc"), content=body or request)
    assert answer.status_code == 200
    return etree.fromstring(answer.content)


async def test_soap_gives_the_settings_that_are_known(
    exchange: ExchangeSimulator, http: httpx.AsyncClient
) -> None:
    publish(exchange, soap={"kind": "settings", "internal": INSIDE, "external": OUTSIDE})
    answer = await get_user_settings(http)
    assert [each.text for each in answer.iter(f"{NAMESPACE}Value")] == [OUTSIDE]
    assert [each.text for each in answer.iter(f"{NAMESPACE}SettingName")] == ["UserDN"]


@pytest.mark.parametrize(
    ("reply", "code", "target"),
    [
        ({"kind": "redirect_address", "address": "anna@example.org"}, "RedirectAddress", "anna@example.org"),
        ({"kind": "redirect_url", "url": OUTSIDE}, "RedirectUrl", OUTSIDE),
        ({"kind": "error"}, "InvalidUser", None),
    ],
)
async def test_soap_sends_elsewhere(
    exchange: ExchangeSimulator,
    http: httpx.AsyncClient,
    reply: dict[str, str],
    code: str,
    target: str | None,
) -> None:
    publish(exchange, soap=reply)
    answer = await get_user_settings(http)
    assert answer.findtext(f".//{NAMESPACE}UserResponse/{NAMESPACE}ErrorCode") == code
    assert answer.findtext(f".//{NAMESPACE}RedirectTarget") == (target or "")


@pytest.mark.parametrize("body", ["<", "<x/>"])
async def test_soap_refuses_what_is_no_request(
    exchange: ExchangeSimulator, http: httpx.AsyncClient, body: str
) -> None:
    publish(exchange, soap={"kind": "settings", "external": OUTSIDE})
    answer = await get_user_settings(http, body)
    assert answer.findtext(f".//{NAMESPACE}Response/{NAMESPACE}ErrorCode") == "InvalidRequest"
