"""A simulated innovaphone PBX that listens on loopback.

It shares no code with the project's own PBX client, or it would agree with that client's mistakes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

import trustme
from aiohttp import web

from dev.pbx.connection import Connection
from dev.pbx.control import create_control
from dev.pbx.faults import Faults
from dev.pbx.phone import Viewer
from dev.pbx.presences import Change, Contact
from dev.pbx.statistics import Statistics
from dev.pbx.switchboard import APIS, Phone, Switchboard, utc_now
from dev.pbx.users import Users

PATH = "/PBX0/APPS/websocket"
HOST = "127.0.0.1"


class PbxSimulator:
    """A PBX as an asynchronous context manager::

        async with PbxSimulator(name="master", users=[{"h323": "anna"}]) as pbx:
            …connect to pbx.url, trusting pbx.ca_pem…
            assert pbx.phone(guid).note == "…"

    ``port`` and ``control_port`` 0 take free ones. ``users`` are rows of the PBX's own columns (see
    `dev.pbx.users`). ``apis``, ``ungranted``, ``numbered``, ``viewer`` as for `Switchboard`.
    ``name``, ``domain``, ``app``, ``password`` and ``faults`` may be changed while it runs.
    """

    def __init__(
        self,
        *,
        name: str = "master",
        domain: str = "example.com",
        app: str = "calendarsync",
        password: str = "secret",
        users: Iterable[dict[str, Any]] = (),
        apis: Iterable[str] = APIS,
        ungranted: Literal["error", "silence"] = "error",
        numbered: bool = True,
        viewer: Viewer | None = None,
        port: int = 0,
        control_port: int = 0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.switchboard = Switchboard(
            name, domain, app, password, frozenset(apis), ungranted, numbered, viewer, now, Users(users)
        )
        self.port = port
        self.control_port = control_port
        self._authority = trustme.CA()
        self._connections: set[Connection] = set()
        self._runners: list[web.AppRunner] = []
        self._site: web.TCPSite | None = None

    async def __aenter__(self) -> Self:
        self._server = await self._prepare(self._create_server())
        control = await self._prepare(create_control(self))
        await self.come_back()
        site = web.TCPSite(control, HOST, self.control_port)
        await site.start()
        self.control_port = _port(control)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drop()
        for runner in self._runners:
            await runner.cleanup()

    @property
    def url(self) -> str:
        return f"wss://{HOST}:{self.port}{PATH}"

    @property
    def control_url(self) -> str:
        return f"http://{HOST}:{self.control_port}"

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed the PBX's own."""
        return self._authority.cert_pem.bytes().decode()

    @property
    def users(self) -> Users:
        return self.switchboard.users

    @property
    def faults(self) -> Faults:
        return self.switchboard.faults

    @property
    def statistics(self) -> Statistics:
        return self.switchboard.statistics

    def reset_statistics(self) -> None:
        """Begin all counters anew; open sessions stay counted."""
        open_now = self.statistics.sessions
        self.switchboard.statistics = Statistics(sessions=open_now, most_sessions=open_now)

    def phone(self, guid: str) -> Phone:
        """Give what displays show of the user. Raises KeyError if unknown."""
        return self.switchboard.phone(guid)

    def contacts(self, guid: str) -> list[Contact]:
        """Give all contacts of the user's presence, the newest first."""
        return self.switchboard.presences.contacts(guid)

    def set_by_hand(self, guid: str, activity: str, note: str = "") -> None:
        """Set a user's presence as the user does at the phone (contact ``tel:``)."""
        self.switchboard.presences.set(guid, "tel:", activity, note)

    def watch(self) -> AbstractContextManager[AsyncIterator[Change]]:
        """Give every presence that is set from here on."""
        return self.switchboard.presences.watch()

    async def drop(self) -> None:
        """Cut every connection, and wait until they are gone."""
        connections = list(self._connections)
        for connection in connections:
            connection.drop()
        await asyncio.gather(*(connection.ended.wait() for connection in connections))

    async def go_away(self) -> None:
        """Stop listening and cut every connection."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        await self.drop()

    async def come_back(self) -> None:
        """Listen (again), on the same port."""
        if self._site is None:
            self._site = web.TCPSite(
                self._server, HOST, self.port, ssl_context=self._tls(), reuse_address=True
            )
            await self._site.start()
            self.port = _port(self._server)

    async def _prepare(self, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        return runner

    def _create_server(self) -> web.Application:
        application = web.Application()
        application.router.add_get(PATH, self._serve)
        return application

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(HOST, "localhost").configure_cert(context)
        return context

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=1)
        await socket.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        connection = Connection(self.switchboard, socket, request.transport)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            connection.ended.set()
        return socket


def _port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])
