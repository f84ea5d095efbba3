"""The storage accounts that the app's bindings and the host's own notes use."""

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from dev.host.configuration import HostError, connection_string, resolve
from dev.host.queues import create
from dev.host.timers import TableTimerMonitor

STORAGE = "AzureWebJobsStorage"


class Storage:
    """Clients by the name of their setting, open as long as the context.

    Methods raise HostError where a setting is missing or wrong or the storage does not answer.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._services: dict[str, QueueServiceClient] = {}
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    def queue(self, binding: Mapping[str, Any], suffix: str = "") -> QueueClient:
        """The queue of a trigger or output; with a suffix, one beside it."""
        setting = _setting(binding)
        if setting not in self._services:
            with _usable(setting):
                service = QueueServiceClient.from_connection_string(
                    connection_string(self._settings, setting), retry_total=0
                )
            self._closing.push_async_callback(service.close)
            self._services[setting] = service
        name = resolve(str(binding["queueName"]), self._settings) + suffix
        return self._services[setting].get_queue_client(name.lower())

    async def create_queue(self, binding: Mapping[str, Any]) -> None:
        """Create the queue of a trigger or output if it is missing."""
        queue = self.queue(binding)
        with _usable(_setting(binding)):
            await create(queue)

    async def timer_monitor(self, host_id: str) -> TableTimerMonitor:
        """What remembers the timers of the host so named."""
        with _usable(STORAGE):
            service = TableServiceClient.from_connection_string(
                connection_string(self._settings, STORAGE), retry_total=0
            )
            self._closing.push_async_callback(service.close)
            with contextlib.suppress(ResourceExistsError):
                await service.create_table(TableTimerMonitor.TABLE)
        return TableTimerMonitor(service.get_table_client(TableTimerMonitor.TABLE), host_id)


def _setting(binding: Mapping[str, Any]) -> str:
    return str(binding.get("connection") or STORAGE)


@contextlib.contextmanager
def _usable(setting: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise HostError(f"The setting {setting} is not a storage connection string.") from error
    except AzureError as error:
        raise HostError(f"The storage of {setting} does not answer: {type(error).__name__}.") from error
