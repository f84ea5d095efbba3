"""A local Azure Functions host: one app, one process, one event loop."""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from dev.host.configuration import (
    HostError,
    connection_string,
    read_host_json,
    read_local_settings,
    resolve,
)
from dev.host.http import HttpFrontend, is_http
from dev.host.invoker import Invoker
from dev.host.queues import QueueListener, QueueOutputs, create, trigger_value
from dev.host.timers import Schedule, TableTimerMonitor, TimerListener, TimerMonitor
from dev.host.worker import Function, Worker

logger = logging.getLogger("dev.host")

STORAGE = "AzureWebJobsStorage"
HOST_ID = "AzureFunctionsWebHost__hostid"


class FunctionsHost:
    """Runs the app at ``root`` while the context is open; ``url`` says where.

    ``settings`` become environment variables for that time and go before those that exist; the ``Values`` of
    ``local_settings`` (a path) are taken where nothing else is set. Port 0 takes a free one. Leaving waits up
    to ``grace`` seconds for running invocations. Entering raises HostError with one sentence.

    One app at a time in a process: Microsoft's worker library keeps its functions in module variables.
    """

    _active = False

    def __init__(
        self,
        *,
        root: Path,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        local_settings: Path | None = None,
        grace: float = 10.0,
    ) -> None:
        self.root = root.resolve()
        self.url = ""
        self.functions: list[Function] = []
        self._port = port
        self._settings = dict(settings or {})
        self._local_settings = local_settings
        self._grace = grace
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: dict[str, TimerListener] = {}
        self._services: dict[str, QueueServiceClient] = {}

    async def __aenter__(self) -> Self:
        if FunctionsHost._active:
            raise HostError("Another Functions app is running in this process.")
        async with AsyncExitStack() as stack:
            FunctionsHost._active = True
            stack.callback(setattr, FunctionsHost, "_active", False)
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        stack.enter_context(_environment(self._settings, self._local_settings))
        self._options = read_host_json(self.root / "host.json", os.environ)
        worker = stack.enter_context(Worker(self.root))
        self.functions = [function for function in await worker.load() if not _disabled(function)]
        stack.push_async_callback(self._close_services)
        self._invoker = Invoker(worker, QueueOutputs(self._queue, self._options.queues.message_encoding))
        listeners = [await self._listener(stack, item) for item in self.functions if not is_http(item)]
        frontend = HttpFrontend(
            self.functions, self._options.route_prefix, os.environ, self._invoker.invoke, self._start_function
        )
        await self._create_queues()
        runner = web.AppRunner(frontend.application(), access_log=None, shutdown_timeout=self._grace)
        await runner.setup()
        stack.push_async_callback(self._drain, runner, frontend)
        self.url = await _bind(runner, self._port)
        for listen in listeners:
            self._spawn(listen(self._stop))
        logger.info("%d functions are running at %s", len(self.functions), self.url)

    async def _listener(
        self, stack: AsyncExitStack, function: Function
    ) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
        kind = str(function.trigger["type"]).lower()
        if kind == "timertrigger":
            listener = await self._timer(stack, function)
            self._timers[function.name] = listener
            return listener.listen
        if kind == "queuetrigger":
            poison = {**function.trigger, "queueName": function.trigger["queueName"] + "-poison"}
            queues = (self._queue(function.trigger), self._queue(poison))
            invoke = partial(self._invoker.invoke, function)
            return QueueListener(*queues, self._options.queues, invoke).listen
        raise HostError(
            f"The function {function.name} has a {function.trigger['type']}, which is not supported."
        )

    async def _timer(self, stack: AsyncExitStack, function: Function) -> TimerListener:
        trigger = function.trigger
        try:
            schedule = Schedule(resolve(str(trigger["schedule"]), os.environ))
        except ValueError as error:
            raise HostError(f"The schedule of {function.name} is wrong: {error}.") from error
        return TimerListener(
            function.name,
            schedule,
            partial(self._invoker.invoke, function),
            run_on_startup=bool(trigger.get("runOnStartup")),
            monitor=await self._timer_monitor(stack) if trigger.get("useMonitor", True) else None,
        )

    async def _timer_monitor(self, stack: AsyncExitStack) -> TimerMonitor:
        service = TableServiceClient.from_connection_string(
            connection_string(os.environ, STORAGE), retry_total=1, connection_timeout=3
        )
        await stack.enter_async_context(service)
        with _reachable(STORAGE), contextlib.suppress(ResourceExistsError):
            await service.create_table(TableTimerMonitor.TABLE)
        host_id = os.environ.get(HOST_ID) or hashlib.sha256(bytes(self.root)).hexdigest()
        return TableTimerMonitor(service.get_table_client(TableTimerMonitor.TABLE), host_id[:32])

    def _queue(self, binding: Mapping[str, Any]) -> QueueClient:
        name = str(binding.get("connection") or STORAGE)
        if name not in self._services:
            try:
                self._services[name] = QueueServiceClient.from_connection_string(
                    connection_string(os.environ, name), retry_total=1, connection_timeout=3
                )
            except ValueError as error:
                raise HostError(f"The setting {name} is not a storage connection string.") from error
        return self._services[name].get_queue_client(resolve(str(binding["queueName"]), os.environ).lower())

    async def _create_queues(self) -> None:
        for function in self.functions:
            for binding in (function.trigger, *function.outputs):
                if binding["type"] in ("queueTrigger", "queue"):
                    with _reachable(str(binding.get("connection") or STORAGE)):
                        await create(self._queue(binding))

    def _start_function(self, function: Function, text: str) -> None:
        timer = self._timers.get(function.name)
        self._spawn(timer.run() if timer else self._invoker.invoke(function, trigger_value(text.encode())))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            logger.error("a listener ended", exc_info=task.exception())

    async def _drain(self, runner: web.AppRunner, frontend: HttpFrontend) -> None:
        frontend.state = "Stopping"
        self._stop.set()
        await asyncio.gather(runner.cleanup(), self._finish())

    async def _finish(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _close_services(self) -> None:
        for service in self._services.values():
            await service.close()


@contextlib.contextmanager
def _reachable(connection: str) -> Any:
    try:
        yield
    except AzureError as error:
        raise HostError(f"The storage of {connection} cannot be used: {type(error).__name__}.") from error


@contextlib.contextmanager
def _environment(settings: Mapping[str, str], local_settings: Path | None) -> Any:
    before = dict(os.environ)
    try:
        os.environ.update(settings)
        for name, value in (read_local_settings(local_settings) if local_settings else {}).items():
            os.environ.setdefault(name, value)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _disabled(function: Function) -> bool:
    return os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in ("1", "true")


async def _bind(runner: web.AppRunner, port: int) -> str:
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
    except OSError as error:
        raise HostError(f"Port {port} cannot be used: {error.strerror}.") from error
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
