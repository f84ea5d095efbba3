"""The simulator's controls over plain HTTP on loopback, in JSON.

    GET     /users                 all rows
    PUT     /users                 replace all rows by a list
    POST    /users                 add a row
    PATCH   /users/{guid}          change some columns
    DELETE  /users/{guid}          remove a row
    GET     /presences             what every user's displays show, with all contacts
    POST    /presences/{guid}      the user sets it by hand: {"activity", "note"}
    GET     /changes               presences as they are set, a JSON object a line, without end
    GET     /faults                the misbehaviour in force
    PATCH   /faults                change it (see `dev.pbx.faults`), or name, domain, app, password
    POST    /drop, /away, /back    cut all connections; stop listening; listen again
    GET     /statistics            what was counted (see `dev.pbx.statistics`)
    DELETE  /statistics            begin counting anew
    GET     /phones                a page that shows every display (see `dev.pbx.phones`)

Bad input gets 400 and an unknown user 404, with {"error": "…"}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dev.pbx import phones
from dev.pbx.presences import ACTIVITIES, Change, Contact

if TYPE_CHECKING:
    from dev.pbx.simulator import PbxSimulator

IDENTITY = ("name", "domain", "app", "password")


def create_control(pbx: PbxSimulator) -> web.Application:
    """Give the web application that controls ``pbx``."""
    controls = Controls(pbx)
    application = web.Application(middlewares=[_explain_errors], client_max_size=64 * 2**20)
    application.add_routes(
        [
            web.get("/users", controls.list_users),
            web.put("/users", controls.replace_users),
            web.post("/users", controls.add_user),
            web.patch("/users/{guid}", controls.change_user),
            web.delete("/users/{guid}", controls.remove_user),
            web.get("/presences", controls.list_presences),
            web.post("/presences/{guid}", controls.set_presence),
            web.get("/changes", controls.stream_changes),
            web.get("/faults", controls.show_faults),
            web.patch("/faults", controls.change_faults),
            web.post("/drop", controls.drop),
            web.post("/away", controls.go_away),
            web.post("/back", controls.come_back),
            web.get("/statistics", controls.show_statistics),
            web.delete("/statistics", controls.reset_statistics),
            *phones.routes(pbx),
        ]
    )
    return application


@web.middleware
async def _explain_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    except KeyError as error:
        return web.json_response({"error": f"no such user: {error.args[0]}"}, status=404)


class Controls:
    """One method for each route."""

    def __init__(self, pbx: PbxSimulator) -> None:
        self._pbx = pbx

    async def list_users(self, request: web.Request) -> web.Response:
        return web.json_response([row.columns for row in self._pbx.users.rows()])

    async def replace_users(self, request: web.Request) -> web.Response:
        rows = await request.json()
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("a list of rows is expected")
        self._pbx.users.replace(rows)
        return web.json_response({"users": len(rows)})

    async def add_user(self, request: web.Request) -> web.Response:
        return web.json_response(self._pbx.users.add(await _read_object(request)).columns, status=201)

    async def change_user(self, request: web.Request) -> web.Response:
        row = self._pbx.users.change(request.match_info["guid"], await _read_object(request))
        return web.json_response(row.columns)

    async def remove_user(self, request: web.Request) -> web.Response:
        self._pbx.users.remove(request.match_info["guid"])
        return web.Response(status=204)

    async def list_presences(self, request: web.Request) -> web.Response:
        counts = self._pbx.statistics.presences_set
        return web.json_response(
            [
                asdict(phone)
                | {"set_at": _iso(phone.set_at), "count": counts[phone.guid]}
                | {"contacts": [_contact(contact) for contact in self._pbx.contacts(phone.guid)]}
                for phone in (self._pbx.phone(row.guid) for row in self._pbx.users.rows())
            ]
        )

    async def set_presence(self, request: web.Request) -> web.Response:
        guid = request.match_info["guid"]
        wish = await _read_object(request)
        activity, note = wish.get("activity", ""), wish.get("note", "")
        if activity not in ACTIVITIES or not isinstance(note, str):
            raise ValueError('activity: "", busy, away or dnd; note: a text')
        self._pbx.phone(guid)
        self._pbx.set_by_hand(guid, activity, note)
        return web.Response(status=204)

    async def stream_changes(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._pbx.watch() as changes:
            await response.prepare(request)
            async for change in changes:
                line = json.dumps(self._describe(change), ensure_ascii=False)
                await response.write(line.encode() + b"\n")
        return response

    async def show_faults(self, request: web.Request) -> web.Response:
        faults = asdict(self._pbx.faults)
        lists = {"refuse": sorted(self._pbx.faults.refuse), "ignore": sorted(self._pbx.faults.ignore)}
        return web.json_response(faults | lists)

    async def change_faults(self, request: web.Request) -> web.Response:
        wish = await _read_object(request)
        for name, value in wish.items():
            if not _is_possible(name, value):
                raise ValueError(f"{name}: unknown, or {value!r} does not fit it")
        for name, value in wish.items():
            if name in IDENTITY:
                setattr(self._pbx.switchboard, name, value)
            else:
                setattr(self._pbx.faults, name, set(value) if isinstance(value, list) else value)
        return await self.show_faults(request)

    async def drop(self, request: web.Request) -> web.Response:
        await self._pbx.drop()
        return web.Response(status=204)

    async def go_away(self, request: web.Request) -> web.Response:
        await self._pbx.go_away()
        return web.Response(status=204)

    async def come_back(self, request: web.Request) -> web.Response:
        await self._pbx.come_back()
        return web.Response(status=204)

    async def show_statistics(self, request: web.Request) -> web.Response:
        statistics = self._pbx.statistics
        return web.json_response(
            {counter.name: getattr(statistics, counter.name) for counter in fields(statistics)}
        )

    async def reset_statistics(self, request: web.Request) -> web.Response:
        self._pbx.reset_statistics()
        return web.Response(status=204)

    def _describe(self, change: Change) -> dict[str, Any]:
        row = self._pbx.users.find(change.guid)
        return {
            "guid": change.guid,
            "sip": row.sip if row else "",
            "name": row.name if row else "",
            **_contact(change.contact),
            "display": self._pbx.switchboard.display(change.contact.note),
        }


async def _read_object(request: web.Request) -> dict[str, Any]:
    value = await request.json()
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")
    return value


def _is_possible(name: str, value: object) -> bool:
    match name:
        case "refuse" | "ignore":
            return isinstance(value, list) and all(isinstance(guid, str) for guid in value)
        case "delay":
            return isinstance(value, int | float) and 0 <= value <= 600
        case "shuffle":
            return isinstance(value, int) and value >= 1
        case "drop_after":
            return value is None or (isinstance(value, int) and value >= 1)
    return name in IDENTITY and isinstance(value, str)


def _contact(contact: Contact) -> dict[str, Any]:
    return asdict(contact) | {"set_at": _iso(contact.set_at)}


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
