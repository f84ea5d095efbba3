"""Queue triggers and queue output bindings, on Azure Storage queues.

Follows Microsoft Learn, "Azure Queue storage trigger and bindings for Azure Functions", and the QueueListener
and QueueProcessor of the WebJobs SDK. Messages are encoded here and not by the client library, because
one that cannot be decoded must go to the poison queue and not fail the whole batch.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from dev.host.configuration import HostError, QueueOptions, connection_string, resolve
from dev.host.logs import logger
from dev.host.protos import TypedData
from dev.host.worker import Function, Result

FIRST_POLLING_INTERVAL = timedelta(milliseconds=100)


def trigger_value(body: bytes) -> TypedData:
    """The value a queue function is started with: text if it is text."""
    try:
        return TypedData(string=body.decode())
    except UnicodeDecodeError:
        return TypedData(bytes=body)


class Queues:
    """The queues that the app's bindings name, by the connection settings they name."""

    def __init__(self, settings: Mapping[str, str], closing: contextlib.AsyncExitStack) -> None:
        self._settings = settings
        self._closing = closing
        self._services: dict[str, QueueServiceClient] = {}

    async def create(self, binding: Mapping[str, Any], suffix: str = "") -> QueueClient:
        """The queue of a trigger or output, or one beside it, made if it is missing. Raises HostError."""
        queue = self._open(binding, suffix)
        try:
            await queue.create_queue()
        except ResourceExistsError:
            pass
        except AzureError as error:
            storage = binding.get("connection")
            raise HostError(f"The storage of {storage} does not answer: {type(error).__name__}.") from error
        return queue

    async def write(self, function: Function, outputs: Mapping[str, TypedData]) -> None:
        """Send what an invocation set; raises AzureError, or ValueError for what cannot be a message."""
        for binding in function.outputs:
            if binding["type"] == "queue" and binding["name"] in outputs:
                for body in message_bodies(outputs[binding["name"]]):
                    await self._open(binding).send_message(base64.b64encode(body).decode("ascii"))

    def _open(self, binding: Mapping[str, Any], suffix: str = "") -> QueueClient:
        setting = str(binding.get("connection") or "AzureWebJobsStorage")
        if setting not in self._services:
            text = connection_string(self._settings, setting)
            try:
                service = QueueServiceClient.from_connection_string(text, retry_total=0)
            except ValueError as error:
                raise HostError(f"The setting {setting} is not a storage connection string.") from error
            self._closing.push_async_callback(service.close)
            self._services[setting] = service
        name = resolve(str(binding["queueName"]), self._settings) + suffix
        return self._services[setting].get_queue_client(name.lower())


def message_bodies(data: TypedData) -> list[bytes]:
    """The messages of an output: a text, bytes, a func.QueueMessage, or a list of texts and QueueMessages."""
    value = json.loads(data.value) if data.kind == "json" else data.value
    return [_body(item) for item in (value if isinstance(value, list) else [value])]


class QueueListener:
    """Polls one queue and runs its function for each message: at least once, in any order.

    A message taken is invisible for ``lease``, which has to be longer than a function may run.
    """

    def __init__(
        self,
        queue: QueueClient,
        poison: QueueClient,
        options: QueueOptions,
        lease: timedelta,
        invoke: Callable[[TypedData, Mapping[str, TypedData]], Awaitable[Result]],
    ) -> None:
        self._queue = queue
        self._poison = poison
        self._options = options
        self._lease = lease
        self._invoke = invoke

    async def listen(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set, then wait for the messages being handled. Cancelling drops those."""
        interval = FIRST_POLLING_INTERVAL
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                if len(running) > self._options.new_batch_threshold:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    continue
                messages = await self._receive()
                for message in messages:
                    interval = FIRST_POLLING_INTERVAL
                    task = group.create_task(self._handle(message))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if not messages:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), interval.total_seconds())
                    interval = min(interval * 2, self._options.max_polling_interval)

    async def _receive(self) -> list[QueueMessage]:
        size, lease = self._options.batch_size, int(self._lease.total_seconds())
        try:
            messages = self._queue.receive_messages(
                max_messages=size, messages_per_page=size, visibility_timeout=lease
            )
            return [message async for message in messages]
        except AzureError as error:
            logger.warning("the queue %s cannot be read: %s", self._queue.queue_name, type(error).__name__)
            return []

    async def _handle(self, message: QueueMessage) -> None:
        try:
            await self._process(message)
        except AzureError as error:
            said = "a message of %s could not be settled and will come again: %s"
            logger.warning(said, self._queue.queue_name, type(error).__name__)

    async def _process(self, message: QueueMessage) -> None:
        attempts, most = message.dequeue_count or 0, self._options.max_dequeue_count
        body = _decode(message.content)
        # A message whose function never came to an end (the host was killed) is not tried for ever.
        if body is not None and attempts <= most:
            result = await self._invoke(trigger_value(body), message_metadata(message))
            if result.error is None:
                await self._queue.delete_message(message)
                return
            if attempts < most:
                wait = int(self._options.visibility_timeout.total_seconds())
                await self._queue.update_message(message, visibility_timeout=wait)
                return
        await self._poison.send_message(message.content)
        await self._queue.delete_message(message)
        logger.error("a message of %s went to its poison queue", self._queue.queue_name)


def message_metadata(message: QueueMessage) -> dict[str, TypedData]:
    """The trigger metadata that arrive in a func.QueueMessage."""
    told = {
        "DequeueCount": message.dequeue_count,
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    texts = {"Id": TypedData(string=message.id), "PopReceipt": TypedData(string=message.pop_receipt)}
    return texts | {
        name: TypedData(json=json.dumps(value, default=datetime.isoformat)) for name, value in told.items()
    }


def _body(item: Any) -> bytes:
    value = item["body"] if isinstance(item, dict) and item.keys() == {"id", "body"} else item
    return (
        value
        if isinstance(value, bytes)
        else (value if isinstance(value, str) else json.dumps(value)).encode()
    )


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
