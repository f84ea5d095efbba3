from __future__ import annotations

import json

import pytest
from lxml import etree

from shared.errors import ExchangeError, ExchangeUnavailable
from shared.ews import autodiscover
from shared.ews.autodiscover import Discovery, decode_server_version, parse_discovery, pox_request

BASE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
INSIDE, OUTSIDE = "https://in.example.com/EWS/Exchange.asmx", "https://out.example.com/EWS/Exchange.asmx"


def pox(content: str, namespace: str = OUTLOOK) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{BASE}">'
        f'<Response xmlns="{namespace}">{content}</Response></Autodiscover>'
    ).encode()


def pox_settings(*protocols: str) -> bytes:
    return pox(
        f"<Account><AccountType>email</AccountType><Action>settings</Action>{''.join(protocols)}</Account>"
    )


def protocol(kind: str, **elements: str) -> str:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f"<Protocol><Type>{kind}</Type>{inner}</Protocol>"


def test_reads_both_addresses_and_the_version() -> None:
    web = (
        f"<Protocol><Type>WEB</Type><External>{protocol('EXPR', ASUrl='https://other')}</External></Protocol>"
    )
    body = pox_settings(
        protocol("EXCH", ServerVersion="73C2869B", EwsUrl=INSIDE, ASUrl="https://as"),
        web,
        protocol("EXPR", EwsUrl=OUTSIDE),
    )
    assert parse_discovery(body) == Discovery(INSIDE, OUTSIDE, "15.2.1691")


def test_falls_back_to_the_older_element_and_the_newer_protocol() -> None:
    body = pox_settings(protocol("EXCH", ASUrl=INSIDE), protocol("EXHTTP", EwsUrl=OUTSIDE), protocol("EXPR"))
    assert parse_discovery(body) == Discovery(INSIDE, OUTSIDE)
    both = pox_settings(protocol("EXHTTP", EwsUrl=INSIDE), protocol("EXPR", EwsUrl=OUTSIDE))
    assert parse_discovery(both) == Discovery(None, OUTSIDE)


def test_one_address_may_be_all() -> None:
    assert parse_discovery(pox_settings(protocol("EXCH", EwsUrl=INSIDE))) == Discovery(internal=INSIDE)
    assert parse_discovery(pox_settings()) == Discovery()


@pytest.mark.parametrize(
    ("action", "element", "target"),
    [
        ("redirectUrl", "RedirectUrl", "https://x.example.com/autodiscover/autodiscover.xml"),
        ("redirectAddr", "RedirectAddr", "user@other.example.com"),
    ],
)
def test_reads_where_to_ask_next(action: str, element: str, target: str) -> None:
    body = pox(f"<Account><Action>{action}</Action><{element}> {target} </{element}></Account>")
    assert parse_discovery(body) == Discovery(redirect=target)
    with pytest.raises(ExchangeError, match="nowhere"):
        parse_discovery(body.replace(target.encode(), b""))


@pytest.mark.parametrize(("code", "read"), [(" 500 ", "500"), ("600", "600"), ("", "Unknown")])
def test_reads_an_error(code: str, read: str) -> None:
    body = pox(f"<Error><ErrorCode>{code}</ErrorCode><Message>Nein</Message></Error>", BASE)
    assert parse_discovery(body) == Discovery(error=read)


@pytest.mark.parametrize("content", ["", "<Account><Action>dance</Action></Account>", "<Account/>"])
def test_refuses_an_answer_that_says_nothing(content: str) -> None:
    with pytest.raises(ExchangeError, match="neither settings"):
        parse_discovery(pox(content))


def test_refuses_other_documents() -> None:
    with pytest.raises(ExchangeError, match="Autodiscover"):
        parse_discovery(b"<Autodiscover/>")
    with pytest.raises(ExchangeUnavailable, match="web page"):
        parse_discovery(b"<html><body>It works!</body></html>")


def test_reads_json() -> None:
    answer = {"Protocol": "Ews", "Url": OUTSIDE}
    assert parse_discovery(json.dumps(answer).encode()) == Discovery(external=OUTSIDE)
    assert parse_discovery(b"\r\n" + json.dumps(answer).encode()) == Discovery(external=OUTSIDE)
    error = {"ErrorCode": "ProtocolNotSupported", "ErrorMessage": "…"}
    assert parse_discovery(json.dumps(error).encode()) == Discovery(error="ProtocolNotSupported")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"Url": 1}', b'{"Url": "", "ErrorCode": null}', b'{"Url": "a"', b"{\xff}"]
)
def test_refuses_other_json(body: bytes) -> None:
    with pytest.raises(ExchangeError) as caught:
        parse_discovery(body)
    assert caught.value.code == "Unreadable"


def test_refuses_json_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autodiscover, "MAX_BODY", 10)
    with pytest.raises(ExchangeError, match="bigger"):
        parse_discovery(b'{"Url": "https://x"}')


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("73C0834F", "15.0.847"),
        ("73D483B6", "15.20.950"),
        ("720180F0", "8.1.240"),
        ("", None),
        ("xyz", None),
        ("0", None),
        ("-1", None),
        ("173C0834F", None),
    ],
)
def test_decodes_the_version(text: str, version: str | None) -> None:
    assert decode_server_version(text) == version


def test_asks_with_the_address_escaped() -> None:
    root = etree.fromstring(pox_request("a&b<c@example.com"))
    request = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006}"
    assert root.tag == f"{request}Autodiscover"
    assert root.findtext(f"{request}Request/{request}EMailAddress") == "a&b<c@example.com"
    assert root.findtext(f"{request}Request/{request}AcceptableResponseSchema") == OUTLOOK
