"""Queue triggers and queue output bindings, on Azure Storage queues.

Follows Microsoft Learn, "Azure Queue storage trigger and bindings for Azure Functions", and the QueueListener
and QueueProcessor of the WebJobs SDK. Messages are encoded here and not by the client library, because
one that cannot be decoded must go to the poison queue and not fail the whole batch.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from dev.host.configuration import QueueOptions
from dev.host.pauses import pause
from dev.host.protos import TypedData
from dev.host.worker import Function, Result

logger = logging.getLogger("dev.host")

FIRST_POLLING_INTERVAL = timedelta(milliseconds=100)
LEASE = timedelta(minutes=10)
"""How long a received message is invisible; renewed at half-time while its function runs."""

type Encoding = Literal["base64", "none"]
type Invoke = Callable[[TypedData, Mapping[str, TypedData]], Awaitable[Result]]


def encode(body: bytes, encoding: Encoding) -> str:
    """The text of a message; raises ValueError where ``none`` cannot carry the bytes."""
    return base64.b64encode(body).decode("ascii") if encoding == "base64" else body.decode()


def decode(text: str, encoding: Encoding) -> bytes:
    """The body of a message; raises ValueError if it is not encoded so."""
    if encoding == "none":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("the message is not base64") from error


def trigger_value(body: bytes) -> TypedData:
    """The value a queue function is started with: text if it is text."""
    try:
        return TypedData(string=body.decode())
    except UnicodeDecodeError:
        return TypedData(bytes=body)


async def create(queue: QueueClient) -> None:
    """Create the queue if it is missing."""
    if not await _exists(queue):
        await queue.create_queue()


async def send(queue: QueueClient, text: str) -> None:
    """Put an encoded message into the queue, which is created if it is missing."""
    try:
        await queue.send_message(text)
    except ResourceNotFoundError:
        await create(queue)
        await queue.send_message(text)


class QueueOutputs:
    """Writes the queue output bindings of functions; ``client`` gives the queue of a binding."""

    def __init__(self, client: Callable[[Mapping[str, Any]], QueueClient], encoding: Encoding) -> None:
        self._client = client
        self._encoding: Encoding = encoding

    async def write(self, function: Function, outputs: Mapping[str, TypedData]) -> None:
        """Send what an invocation set; raises AzureError, or ValueError for what cannot be a message."""
        for binding in function.outputs:
            if binding["type"] == "queue" and binding["name"] in outputs:
                for body in message_bodies(outputs[binding["name"]]):
                    await send(self._client(binding), encode(body, self._encoding))


def message_bodies(data: TypedData) -> list[bytes]:
    """The messages of an output: a text, bytes, a func.QueueMessage, or a list of texts and QueueMessages."""
    if data.kind == "bytes":
        return [data.value]
    if data.kind == "string":
        return [data.value.encode()]
    if data.kind == "json":
        value = json.loads(data.value)
        return [_body(item) for item in (value if isinstance(value, list) else [value])]
    raise ValueError(f"a queue message cannot be made of {data.kind}")


class QueueListener:
    """Polls one queue and runs its function for each message: at least once, in any order."""

    def __init__(
        self,
        queue: QueueClient,
        poison: QueueClient,
        options: QueueOptions,
        invoke: Invoke,
        lease: timedelta = LEASE,
    ) -> None:
        self._queue = queue
        self._poison = poison
        self._options = options
        self._invoke = invoke
        self._lease = lease
        self._running: set[asyncio.Task[None]] = set()

    async def listen(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set, then wait for the messages being handled. Cancelling drops those."""
        interval = FIRST_POLLING_INTERVAL
        try:
            while not stop.is_set():
                if len(self._running) > self._options.new_batch_threshold:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                    continue
                messages = await self._receive()
                if messages and stop.is_set():
                    await self._release(messages)
                elif messages:
                    interval = FIRST_POLLING_INTERVAL
                    for message in messages:
                        task = asyncio.create_task(self._handle(message))
                        self._running.add(task)
                        task.add_done_callback(self._running.discard)
                else:
                    await pause(stop, interval.total_seconds())
                    interval = min(interval * 2, self._options.max_polling_interval)
            await asyncio.gather(*self._running)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _receive(self) -> list[QueueMessage]:
        lease = int(self._lease.total_seconds())
        pages = self._queue.receive_messages(
            messages_per_page=self._options.batch_size, visibility_timeout=lease
        ).by_page()
        try:
            return [message async for page in _first(pages) async for message in page]
        except ResourceNotFoundError:
            return []
        except AzureError as error:
            logger.warning("the queue %s cannot be read: %s", self._queue.queue_name, type(error).__name__)
            return []

    async def _release(self, messages: list[QueueMessage]) -> None:
        for message in messages:
            with contextlib.suppress(AzureError):
                await self._queue.update_message(message, visibility_timeout=0)

    async def _handle(self, message: QueueMessage) -> None:
        try:
            await self._process(message)
        except AzureError as error:
            logger.warning(
                "a message of %s could not be settled and will come again: %s",
                self._queue.queue_name,
                type(error).__name__,
            )

    async def _process(self, message: QueueMessage) -> None:
        try:
            body = decode(message.content, self._options.message_encoding)
        except ValueError:
            logger.error("a message of %s is not %s", self._queue.queue_name, self._options.message_encoding)
            await self._to_poison(message)
            return
        # A message whose function never came to an end (the host was killed) is not tried for ever.
        attempts = message.dequeue_count or 0
        if attempts > self._options.max_dequeue_count:
            await self._to_poison(message)
            return
        finished = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message, finished))
        try:
            result = await self._invoke(trigger_value(body), message_metadata(message))
        finally:
            finished.set()
        await renewal
        if result.ok:
            await self._queue.delete_message(message)
        elif attempts >= self._options.max_dequeue_count:
            await self._to_poison(message)
        else:
            wait = int(self._options.visibility_timeout.total_seconds())
            await self._queue.update_message(message, visibility_timeout=wait)

    async def _renew(self, message: QueueMessage, finished: asyncio.Event) -> None:
        """Keep the message invisible; a renewal changes its pop receipt, so none is dropped half-way."""
        while True:
            await pause(finished, self._lease.total_seconds() / 2)
            if finished.is_set():
                return
            lease = int(self._lease.total_seconds())
            try:
                updated = await self._queue.update_message(message, visibility_timeout=lease)
            except AzureError as error:
                name = self._queue.queue_name
                logger.warning("a message of %s was not kept invisible: %s", name, type(error).__name__)
            else:
                message.pop_receipt = updated.pop_receipt

    async def _to_poison(self, message: QueueMessage) -> None:
        await send(self._poison, message.content)
        await self._queue.delete_message(message)
        logger.error("a message of %s went to its poison queue", self._queue.queue_name)


def message_metadata(message: QueueMessage) -> dict[str, TypedData]:
    """The trigger metadata that arrive in a func.QueueMessage."""
    return {
        "Id": TypedData(string=message.id),
        "DequeueCount": TypedData(json=json.dumps(message.dequeue_count)),
        "InsertionTime": _time(message.inserted_on),
        "ExpirationTime": _time(message.expires_on),
        "NextVisibleTime": _time(message.next_visible_on),
        "PopReceipt": TypedData(string=message.pop_receipt),
    }


def _time(moment: datetime | None) -> TypedData:
    return TypedData(json=json.dumps(moment and moment.isoformat()))


def _body(item: Any) -> bytes:
    text = item.get("body") if isinstance(item, dict) and item.keys() == {"id", "body"} else item
    return (text if isinstance(text, str) else json.dumps(text)).encode()


async def _first(pages: Any) -> Any:
    async for page in pages:
        yield page
        return


async def _exists(queue: QueueClient) -> bool:
    try:
        await queue.get_queue_properties()
    except ResourceNotFoundError:
        return False
    return True
