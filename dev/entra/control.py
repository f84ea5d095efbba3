"""The simulator's controls over plain HTTP on loopback, in JSON.

    GET     /directory                  all tenants, applications and accounts
    PUT     /directory                  replace them
    PATCH   /applications/{client_id}   change some fields (see `dev.entra.directory`)
    PATCH   /accounts/{user_name}       the same
    POST    /revoke                     {"account"}: make its refresh tokens worthless
    POST    /verify                     {"token", "audience"}: the claims of an access token
    GET     /lives                      how long tokens live, in seconds
    PATCH   /lives                      {"token", "refresh"}: change that for new ones
    GET     /faults                     the misbehaviour in force
    POST    /faults                     add one (see `dev.entra.faults`)
    DELETE  /faults                     remove all
    POST    /away, /back                stop listening; listen again
    GET     /statistics                 what was counted (see `dev.entra.statistics`)
    DELETE  /statistics                 begin counting anew

Bad input gets 400, an unknown row 404, a bad token 403, with {"error": "…"}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dev.entra.directory import Directory, change
from dev.entra.faults import Fault
from dev.entra.keys import InvalidToken

if TYPE_CHECKING:
    from dev.entra.simulator import EntraSimulator


def create_control(entra: EntraSimulator) -> web.Application:
    """Give the web application that controls ``entra``."""
    controls = Controls(entra)
    application = web.Application(middlewares=[_explain_errors], client_max_size=8 * 2**20)
    application.add_routes(
        [
            web.get("/directory", controls.show_directory),
            web.put("/directory", controls.replace_directory),
            web.patch("/applications/{client_id}", controls.change_application),
            web.patch("/accounts/{user_name}", controls.change_account),
            web.post("/revoke", controls.revoke),
            web.post("/verify", controls.verify),
            web.get("/lives", controls.show_lives),
            web.patch("/lives", controls.change_lives),
            web.get("/faults", controls.show_faults),
            web.post("/faults", controls.add_fault),
            web.delete("/faults", controls.remove_faults),
            web.post("/away", controls.go_away),
            web.post("/back", controls.come_back),
            web.get("/statistics", controls.show_statistics),
            web.delete("/statistics", controls.reset_statistics),
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
        return web.json_response({"error": f"there is no {error.args[0]}"}, status=404)
    except InvalidToken as error:
        return web.json_response({"error": str(error)}, status=403)


class Controls:
    """One method for each route."""

    def __init__(self, entra: EntraSimulator) -> None:
        self._entra = entra

    async def show_directory(self, request: web.Request) -> web.Response:
        return web.json_response(self._entra.directory.describe())

    async def replace_directory(self, request: web.Request) -> web.Response:
        self._entra.replace_directory(Directory.read(await _read_object(request)))
        return await self.show_directory(request)

    async def change_application(self, request: web.Request) -> web.Response:
        client_id = request.match_info["client_id"]
        application = self._entra.directory.application(client_id)
        if application is None:
            raise KeyError(f"application {client_id}")
        change(application, await _read_object(request))
        return web.json_response(asdict(application))

    async def change_account(self, request: web.Request) -> web.Response:
        user_name = request.match_info["user_name"]
        account = self._entra.directory.account(user_name)
        if account is None:
            raise KeyError(f"account {user_name}")
        change(account, await _read_object(request))
        return web.json_response(asdict(account))

    async def revoke(self, request: web.Request) -> web.Response:
        wish = await _read_object(request)
        return web.json_response({"revoked": self._entra.grants.revoke(str(wish.get("account", "")))})

    async def verify(self, request: web.Request) -> web.Response:
        wish = await _read_object(request)
        audience = str(wish.get("audience", "https://outlook.office365.com"))
        return web.json_response(self._entra.verify(str(wish.get("token", "")), audience))

    async def show_lives(self, request: web.Request) -> web.Response:
        grants = self._entra.grants
        return web.json_response({"token": grants.token_life, "refresh": grants.refresh_life})

    async def change_lives(self, request: web.Request) -> web.Response:
        wish = await _read_object(request)
        for name, value in wish.items():
            if name not in ("token", "refresh") or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}: unknown, or {value!r} does not fit it")
        for name, value in wish.items():
            setattr(self._entra.grants, f"{name}_life", value)
        return await self.show_lives(request)

    async def show_faults(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self._entra.faults])

    async def add_fault(self, request: web.Request) -> web.Response:
        self._entra.faults.append(Fault.read(await _read_object(request)))
        return await self.show_faults(request)

    async def remove_faults(self, request: web.Request) -> web.Response:
        self._entra.faults.clear()
        return web.Response(status=204)

    async def go_away(self, request: web.Request) -> web.Response:
        await self._entra.go_away()
        return web.Response(status=204)

    async def come_back(self, request: web.Request) -> web.Response:
        await self._entra.come_back()
        return web.Response(status=204)

    async def show_statistics(self, request: web.Request) -> web.Response:
        return web.json_response(self._entra.statistics.describe())

    async def reset_statistics(self, request: web.Request) -> web.Response:
        self._entra.reset_statistics()
        return web.Response(status=204)


async def _read_object(request: web.Request) -> dict[str, Any]:
    value = await request.json()
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")
    return value
