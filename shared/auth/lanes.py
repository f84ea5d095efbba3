"""Connections to Exchange: each with one request at a time, and replaced after so many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

MOST_REQUESTS = 200
"""After which a connection is replaced: load balancers before Exchange decide anew with each connection."""


@dataclass(slots=True)
class Lane:
    """One connection. ``warm`` is whether it has been signed in, as far as we know."""

    client: httpx.AsyncClient
    used: int = 0
    warm: bool = False


class Lanes:
    """So many connections that ``connect`` makes, each for ``most`` requests at most."""

    def __init__(
        self, connect: Callable[[], httpx.AsyncClient], count: int, most: int = MOST_REQUESTS
    ) -> None:
        self._connect = connect
        self._most = most
        self._lanes = [Lane(connect()) for _ in range(count)]
        self._free: asyncio.LifoQueue[Lane] = asyncio.LifoQueue()  # the lane used last is the warmest
        for lane in self._lanes:
            self._free.put_nowait(lane)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Lane]:
        """Wait for a free lane, for one request (and its repetitions)."""
        lane = await self._free.get()
        try:
            if lane.used >= self._most:
                former, lane.client, lane.used, lane.warm = lane.client, self._connect(), 0, False
                await former.aclose()
            lane.used += 1
            yield lane
        finally:
            self._free.put_nowait(lane)

    async def aclose(self) -> None:
        """Close the connections."""
        for lane in self._lanes:
            await lane.client.aclose()
