"""Queue triggers and queue output bindings, on Azure Storage queues.

Follows Microsoft Learn, "Azure Queue storage trigger and bindings for Azure Functions", and the QueueListener
and QueueProcessor of the WebJobs SDK. Messages are encoded here and not by the client library, because
one that cannot be decoded must go to the poison queue and not fail the whole batch.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from dev.host.configuration import HostError, QueueOptions, resolve, setting
from dev.host.worker import Function, Outputs, TypedData

FIRST_POLLING_INTERVAL = timedelta(milliseconds=100)

_log = logging.getLogger(__name__)


class Queues:
    """The queues that the app's bindings name, each made when it is first wanted."""

    def __init__(self, closing: AsyncExitStack) -> None:
        self._closing = closing
        self._clients: dict[tuple[str, str], QueueClient] = {}

    async def open(self, binding: Mapping[str, Any], suffix: str = "") -> QueueClient:
        """The queue of a trigger or output, or the one beside it. Raises HostError."""
        connection, name = binding["connection"], resolve(binding["queueName"]).lower() + suffix
        if (connection, name) not in self._clients:
            try:
                client = QueueClient.from_connection_string(setting(connection), name, retry_total=0)
                await self._closing.enter_async_context(client)
                with suppress(ResourceExistsError):
                    await client.create_queue()
            except ValueError as error:
                raise HostError(f"The setting {connection} is not a storage connection string.") from error
            except AzureError as error:
                said = f"The storage of {connection} does not answer: {type(error).__name__}."
                raise HostError(said) from error
            self._clients[connection, name] = client
        return self._clients[connection, name]

    async def write(self, function: Function, outputs: Outputs) -> None:
        """Send what an invocation set; raises AzureError, or ValueError for what cannot be a message."""
        for binding in function.outputs:
            if binding["type"] == "queue" and binding["name"] in outputs:
                queue = await self.open(binding)
                for body in message_bodies(outputs[binding["name"]]):
                    await queue.send_message(base64.b64encode(body).decode())


def message_bodies(data: TypedData) -> list[bytes]:
    """The messages of an output: a text, bytes, a func.QueueMessage, or a list of texts and QueueMessages."""
    value = json.loads(data.value) if data.WhichOneof("data") == "json" else data.value
    items = value if isinstance(value, list) else [value]
    bodies = [item["body"] if isinstance(item, dict) else item for item in items]
    return [body if isinstance(body, bytes) else body.encode() for body in bodies]


@dataclass(frozen=True)
class QueueListener:
    """Polls one queue and runs its function for each message: at least once, in any order.

    A message taken is invisible for ``lease``, which has to be longer than a function may run.
    """

    queue: QueueClient
    poison: QueueClient
    options: QueueOptions
    lease: timedelta
    invoke: Callable[[TypedData, Mapping[str, TypedData]], Awaitable[Outputs | None]]

    async def listen(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set, then wait for the messages being handled. Cancelling drops those."""
        interval = FIRST_POLLING_INTERVAL
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                if len(running) > self.options.new_batch_threshold:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    continue
                messages = await self._receive()
                for message in messages:
                    interval = FIRST_POLLING_INTERVAL
                    task = group.create_task(self._handle(message))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if not messages:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), interval.total_seconds())
                    interval = min(interval * 2, self.options.max_polling_interval)

    async def _receive(self) -> list[QueueMessage]:
        size, lease = self.options.batch_size, int(self.lease.total_seconds())
        try:
            messages = self.queue.receive_messages(
                max_messages=size, messages_per_page=size, visibility_timeout=lease
            )
            return [message async for message in messages]
        except AzureError as error:
            _log.warning("the queue %s cannot be read: %s", self.queue.queue_name, type(error).__name__)
            return []

    async def _handle(self, message: QueueMessage) -> None:
        attempts, most = message.dequeue_count or 0, self.options.max_dequeue_count
        body = _decode(message.content)
        try:
            # A message whose function never came to an end (the host was killed) is not tried for ever.
            if body is not None and attempts <= most and await self._succeeds(body, message):
                await self.queue.delete_message(message)
            elif body is not None and attempts < most:
                wait = int(self.options.visibility_timeout.total_seconds())
                await self.queue.update_message(message, visibility_timeout=wait)
            else:
                await self.poison.send_message(message.content)
                await self.queue.delete_message(message)
                _log.error("a message of %s went to its poison queue", self.queue.queue_name)
        except AzureError as error:
            said = "a message of %s could not be settled and will come again: %s"
            _log.warning(said, self.queue.queue_name, type(error).__name__)

    async def _succeeds(self, body: bytes, message: QueueMessage) -> bool:
        told = {
            "Id": message.id,
            "PopReceipt": message.pop_receipt,
            "DequeueCount": message.dequeue_count,
            "InsertionTime": message.inserted_on,
            "ExpirationTime": message.expires_on,
            "NextVisibleTime": message.next_visible_on,
        }
        metadata = {
            name: TypedData(json=json.dumps(value, default=datetime.isoformat))
            for name, value in told.items()
        }
        return await self.invoke(TypedData(bytes=body), metadata) is not None


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
