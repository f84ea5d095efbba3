"""The app ``triggers`` in a local host, as the integration tests use it."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from dev.host import FunctionsHost

TRIGGERS = Path(__file__).parent / "triggers"
HOST = "AzureFunctionsJobHost__extensions__"

type MakeApp = Callable[..., App]


class App:
    """The app ``triggers`` in a host, with queues nobody else uses."""

    def __init__(self, connection: str, **settings: str) -> None:
        self.connection = connection
        self.queue_name = f"work{uuid.uuid4().hex[:12]}"
        self.settings = {
            "AzureWebJobsStorage": connection,
            "WORK_QUEUE": self.queue_name,
            "TICK_SCHEDULE": "0 0 0 1 1 *",
            "DEV_HOST_FUNCTION_KEY": "function key",
            "DEV_HOST_MASTER_KEY": "master key",
            **settings,
        }

    async def __aenter__(self) -> "App":
        self.host = await FunctionsHost(
            root=Path(__file__).parent / "triggers", settings=self.settings
        ).__aenter__()
        self.http = aiohttp.ClientSession(self.host.url)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.close()
        await self.host.__aexit__(None, None, None)

    async def status(self, path: str, method: str = "GET", **request: Any) -> int:
        async with self.http.request(method, path, **request) as response:
            return response.status

    async def json(self, path: str, method: str = "GET", **request: Any) -> Any:
        async with self.http.request(method, path, **request) as response:
            assert response.status == 200
            return await response.json()

    async def records(self, function: str) -> list[dict[str, Any]]:
        return [record for record in await self.json("/api/records") if record["function"] == function]

    async def record(self, function: str, count: int = 1, seconds: float = 15.0) -> list[dict[str, Any]]:
        """The records of a function as soon as there are ``count``."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self.records(function)
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def queue(self, suffix: str = "") -> AsyncIterator[QueueClient]:
        async with QueueClient.from_connection_string(self.connection, self.queue_name + suffix) as queue:
            yield queue

    async def send(self, *bodies: str) -> None:
        async with self.queue() as queue:
            for body in bodies:
                await queue.send_message(base64.b64encode(body.encode()).decode())

    async def raw_messages(self, suffix: str, count: int = 1, seconds: float = 15.0) -> list[str]:
        """The messages as they lie in a queue, once there are ``count``; with 0, those there are now."""
        async with self.queue(suffix) as queue, asyncio.timeout(seconds):
            while True:
                try:
                    found = [message.content for message in await queue.peek_messages(32)]
                except ResourceNotFoundError:  # a poison queue before its first message
                    found = []
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def messages(self, suffix: str, count: int = 1, seconds: float = 15.0) -> list[str]:
        return [base64.b64decode(text).decode() for text in await self.raw_messages(suffix, count, seconds)]
