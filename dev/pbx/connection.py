"""One websocket connection to the PBX: frames in and out, and the faults of the wire."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from dev.pbx.session import Session
from dev.pbx.switchboard import Switchboard

HOLD = 0.01
"""Seconds for which answers wait for others to be shuffled with."""
UNSUPPORTED_FRAME = 1003


@dataclass(frozen=True, slots=True)
class _Frame:
    due: float
    text: str
    sent: Callable[[], None] | None = None
    close: int | None = None


class Connection:
    """Carries a session over one websocket until either side ends it."""

    def __init__(self, pbx: Switchboard, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._pbx = pbx
        self._socket = socket
        self._transport = transport
        self._frames: asyncio.Queue[_Frame] = asyncio.Queue()
        self._held: list[_Frame] = []
        self._loop = asyncio.get_running_loop()
        self._session = Session(pbx, self)
        self._closing = False
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Serve the connection until it ends."""
        self._pbx.statistics.connections += 1
        writer = asyncio.create_task(self._write())
        try:
            async for frame in self._socket:
                if self._closing:
                    continue
                if frame.type is not WSMsgType.TEXT:
                    self.close(UNSUPPORTED_FRAME, "text frames only")
                    continue
                self._session.receive(frame.data)
                if self._has_to_drop():
                    self.drop()
                    break
        finally:
            self._session.end()
            if not self._closing:
                writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def send(
        self, message: dict[str, Any], *, any_order: bool = False, sent: Callable[[], None] | None = None
    ) -> None:
        frame = _Frame(self._loop.time() + self._pbx.faults.delay, json.dumps(message), sent)
        if not any_order or self._pbx.faults.shuffle < 2:
            self._frames.put_nowait(frame)
            return
        self._held.append(frame)
        if len(self._held) >= self._pbx.faults.shuffle:
            self._release()
        elif len(self._held) == 1:
            self._loop.call_later(HOLD, self._release)

    def close(self, code: int, reason: str) -> None:
        self._closing = True
        self._release()
        self._frames.put_nowait(_Frame(self._loop.time(), reason, close=code))

    def _release(self) -> None:
        random.shuffle(self._held)
        for frame in self._held:
            self._frames.put_nowait(frame)
        self._held.clear()

    def _has_to_drop(self) -> bool:
        faults = self._pbx.faults
        if faults.drop_after is None:
            return False
        faults.drop_after -= 1
        if faults.drop_after > 0:
            return False
        faults.drop_after = None
        return True

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            await asyncio.sleep(frame.due - self._loop.time())
            if frame.close is not None:
                await self._socket.close(code=frame.close, message=frame.text.encode())
                return
            await self._socket.send_str(frame.text)
            if frame.sent is not None:
                frame.sent()
