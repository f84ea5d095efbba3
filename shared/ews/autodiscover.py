"""What Autodiscover answers: plain XML (POX) and the JSON of its second version.

Sources: MS-OXDSCLI (POX: Account, Protocol, Error, ServerVersion); Microsoft, *Autodiscover for Exchange*
(autodiscover.json).
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass

from shared.ews.envelope import MAX_BODY, Element, parse_document, text_at, unreadable

_BASE_NS = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK_NS = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_REQUEST_NS = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_BASE = f"{{{_BASE_NS}}}"
_OUTLOOK = f"{{{_OUTLOOK_NS}}}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """One answer: addresses of EWS, or where to ask next, or an error.

    ``redirect`` is a URL or another e-mail address. JSON names one address, the one for callers from outside.
    """

    internal: str | None = None
    external: str | None = None
    server_version: str | None = None
    redirect: str | None = None
    error: str | None = None


def pox_request(address: str) -> bytes:
    """The POX question where the mailbox ``address`` is."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{_REQUEST_NS}"><Request>'
        f"<EMailAddress>{html.escape(address, quote=False)}</EMailAddress>"
        f"<AcceptableResponseSchema>{_OUTLOOK_NS}</AcceptableResponseSchema></Request></Autodiscover>"
    ).encode()


def parse_discovery(body: bytes) -> Discovery:
    """The answer in ``body``, of either kind. Raises ExchangeError for what is none."""
    if body.lstrip()[:1] == b"{":
        return _parse_json(body)
    return _parse_pox(parse_document(body))


def decode_server_version(text: str) -> str | None:
    """``15.20.950`` for ``73D483B6``: 4 bits of flags, 6 major, 6 minor, 1 reserved, 15 build."""
    try:
        bits = int(text, 16)
    except ValueError:
        return None
    if not 0 < bits < 1 << 32:
        return None
    return f"{bits >> 22 & 0x3F}.{bits >> 16 & 0x3F}.{bits & 0x7FFF}"


def _parse_json(body: bytes) -> Discovery:
    if len(body) > MAX_BODY:
        raise unreadable(f"it is bigger than {MAX_BODY // 1024**2} MiB")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise unreadable("it is no JSON") from error
    url, code = answer.get("Url"), answer.get("ErrorCode")
    if isinstance(url, str) and url:
        return Discovery(external=url)
    if isinstance(code, str) and code:
        return Discovery(error=code)
    raise unreadable("it holds neither an address nor an error")


def _parse_pox(root: Element) -> Discovery:
    if root.tag != f"{_BASE}Autodiscover":
        raise unreadable("it is no answer of Autodiscover")
    error = root.find(f"{_BASE}Response/{_BASE}Error")
    if error is not None:
        return Discovery(error=text_at(error, f"{_BASE}ErrorCode") or "Unknown")
    account = root.find(f"{_OUTLOOK}Response/{_OUTLOOK}Account")
    action = text_at(account, f"{_OUTLOOK}Action").lower()
    if account is None or action not in ("settings", "redirecturl", "redirectaddr"):
        raise unreadable("it holds neither settings nor a redirection nor an error")
    if action != "settings":
        name = "RedirectUrl" if action == "redirecturl" else "RedirectAddr"
        target = text_at(account, _OUTLOOK + name)
        if not target:
            raise unreadable("its redirection leads nowhere")
        return Discovery(redirect=target)
    addresses: dict[str, str] = {}
    version: str | None = None
    for protocol in account.iterfind(f"{_OUTLOOK}Protocol"):
        kind = text_at(protocol, f"{_OUTLOOK}Type").upper()
        version = version or decode_server_version(text_at(protocol, f"{_OUTLOOK}ServerVersion"))
        address = text_at(protocol, f"{_OUTLOOK}EwsUrl") or text_at(protocol, f"{_OUTLOOK}ASUrl")
        if address:
            addresses.setdefault(kind, address)
    external = addresses.get("EXPR") or addresses.get("EXHTTP")
    return Discovery(internal=addresses.get("EXCH"), external=external, server_version=version)
