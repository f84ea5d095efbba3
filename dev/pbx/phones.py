"""A page that shows every phone's display and changes with it.

    GET  /phones          the page; /phones.css and /phones.js belong to it
    GET  /phones/events   server-sent events: *phones*, a list of all, at first and every few seconds;
                          *phone*, one, whenever its presence is set

The browser is told to fetch nothing from anywhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from dev.pbx.simulator import PbxSimulator

REFRESH = 10.0
"""Seconds after which all are told again: users come and go, and a date is left out from midnight on."""

_FILES = Path(__file__).parent / "page"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(pbx: PbxSimulator) -> list[web.RouteDef]:
    """Give what the page needs of a web application."""

    async def stream(request: web.Request) -> web.StreamResponse:
        return await stream_phones(pbx, request)

    return [
        web.get("/phones", _send("phones.html")),
        web.get("/phones.css", _send("phones.css")),
        web.get("/phones.js", _send("phones.js")),
        web.get("/phones/events", stream),
    ]


async def stream_phones(pbx: PbxSimulator, request: web.Request) -> web.StreamResponse:
    """Tell the page of every display, until it goes away."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    with pbx.watch() as changes:
        await response.prepare(request)
        next_change = asyncio.ensure_future(anext(changes))
        try:
            await _tell(response, "phones", [_describe(pbx, row.guid) for row in pbx.users.rows()])
            while True:
                done, _ = await asyncio.wait({next_change}, timeout=REFRESH)
                if not done:
                    await _tell(response, "phones", [_describe(pbx, row.guid) for row in pbx.users.rows()])
                    continue
                guid = next_change.result().guid
                next_change = asyncio.ensure_future(anext(changes))
                with suppress(KeyError):  # removed meanwhile
                    await _tell(response, "phone", _describe(pbx, guid))
        finally:
            next_change.cancel()


def _describe(pbx: PbxSimulator, guid: str) -> dict[str, Any]:
    phone = pbx.phone(guid)
    return asdict(phone) | {"set_at": phone.set_at.isoformat() if phone.set_at else None}


async def _tell(response: web.StreamResponse, event: str, value: object) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(value)}\n\n".encode())


def _send(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def send(request: web.Request) -> web.Response:
        return web.Response(
            body=(_FILES / name).read_bytes(),
            content_type=_TYPES[name.rpartition(".")[2]],
            charset="utf-8",
            headers={
                "Content-Security-Policy": _POLICY,
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )

    return send
