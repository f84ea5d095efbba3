"""A PBX that says what a test writes down for it, message by message."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.pbx.session import PbxLink

HOST = "127.0.0.1"


class Line:
    """The PBX's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def send(self, mt: str, **message: Any) -> None:
        await self.socket.send(json.dumps({"mt": mt} | message))

    async def log_in(self) -> None:
        """Let the app in, whatever its password, and say that this is the master."""
        assert (await self.receive())["mt"] == "AppChallenge"
        await self.send("AppChallengeResult", challenge="1234567890123456")
        assert (await self.receive())["mt"] == "AppLogin"
        await self.send("AppLoginResult", ok=True)
        asked = await self.receive()
        assert asked["mt"] == "MonitorConfig"
        await self.send("MonitorConfigResult", src=asked["src"])
        await self.send("MonitorConfigInfo", pbx="master", domain="example.com")


type Script = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def scripted_pbx(
    script: Script, *, host: str = HOST, certificate: tuple[str, ssl.SSLContext] | None = None
) -> AsyncIterator[PbxLink]:
    """Listen with a certificate for ``host``, or the one that is given, and play the script.

    The connection stays open after the script's end. A script that failed fails the test.
    """
    failures: list[BaseException] = []

    async def play(socket: ServerConnection) -> None:
        try:
            await script(Line(socket))
            await socket.wait_closed()
        except ConnectionClosed:
            pass
        except BaseException as error:
            failures.append(error)
            raise

    pem, context = certificate or issue(host)
    async with serve(play, HOST, 0, ssl=context, compression=None, close_timeout=0.1) as server:
        port = server.sockets[0].getsockname()[1]
        yield PbxLink(f"wss://{HOST}:{port}/PBX0/APPS/websocket", "master", "calendarsync", "secret", pem)
    assert not failures, failures


def issue(host: str) -> tuple[str, ssl.SSLContext]:
    """A new authority (PEM), and the context of a server with its certificate for ``host``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return authority.cert_pem.bytes().decode(), context
