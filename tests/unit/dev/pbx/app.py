"""An app object's end of the websocket, as plain as can be: sends and receives single messages."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from dev.pbx import PbxSimulator, digest_login

type Message = dict[str, Any]
TIMEOUT = 5.0


class App:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Message:
        async with asyncio.timeout(TIMEOUT):
            message: Message = json.loads(await self.socket.recv())
        return message

    async def ask(self, **message: Any) -> Message:
        await self.send(**message)
        return await self.receive()

    async def silence(self) -> bool:
        """Tell whether nothing comes for a while."""
        try:
            async with asyncio.timeout(0.1):
                await self.socket.recv()
        except TimeoutError:
            return True
        return False

    async def close_code(self) -> int | None:
        """Wait for the PBX to close; None if it cut the connection without a word."""
        async with asyncio.timeout(TIMEOUT):
            await self.socket.wait_closed()
        code = self.socket.close_code
        return None if code == 1006 else code

    async def log_in(self, password: str = "secret", **login: Any) -> Message:
        challenge = (await self.ask(mt="AppChallenge"))["challenge"]
        login = {"app": "calendarsync", "domain": "", "sip": "", "guid": "", "dn": ""} | login
        return await self.ask(mt="AppLogin", **login, digest=digest_login(login, challenge, password))

    async def set_presence(self, src: str, **more: str) -> None:
        wish = {"contact": "calendar:", "activity": "busy", "note": "Meeting"} | more
        await self.send(api="PbxApi", mt="SetPresence", src=src, **wish)

    async def start(self, src: str = "u", **more: Any) -> Message:
        columns: Message = {"guid": {}, "h323": {}, "cn": {}, "hide": {}, "emails": {}, "grps": {}}
        wish = {"add": False, "del": False, "columns": columns} | more
        return await self.ask(api="PbxTableUsers", mt="ReplicateStart", src=src, **wish)

    async def next(self, src: str = "u") -> Message:
        return await self.ask(api="PbxTableUsers", mt="ReplicateNext", src=src)

    async def replicate(self, **more: Any) -> list[Message]:
        """Give the columns of all rows."""
        await self.start(**more)
        rows = []
        while "columns" in (answer := await self.next()):
            rows.append(answer["columns"])
        return rows


def trust(pbx: PbxSimulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pbx.ca_pem)


@asynccontextmanager
async def connect_app(pbx: PbxSimulator, *, log_in: bool = True) -> AsyncIterator[App]:
    async with connect(pbx.url, ssl=trust(pbx), proxy=None) as socket:
        app = App(socket)
        if log_in:
            assert (await app.log_in())["ok"] is True
        yield app
