"""A local Azure Functions host: one app, one process, one event loop."""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from dev.host.configuration import HostError, QueueOptions, read_host_json, read_local_settings, resolve
from dev.host.http import HttpFrontend
from dev.host.invoker import Invoker
from dev.host.queues import QueueListener, QueueOutputs, trigger_value
from dev.host.storage import Storage
from dev.host.timers import Schedule, TimerListener, TimerMonitor
from dev.host.worker import Function, Worker

logger = logging.getLogger("dev.host")

HOST_ID = "AzureFunctionsWebHost__hostid"

type Listen = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


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
        options = read_host_json(self.root / "host.json", os.environ)
        worker = stack.enter_context(Worker(self.root))
        self.functions = [function for function in await worker.load() if not _disabled(function)]
        storage = await stack.enter_async_context(Storage(os.environ))
        self._invoker = Invoker(worker, QueueOutputs(storage.queue, options.queues.message_encoding))
        frontend = HttpFrontend(
            self.functions, options, os.environ, self._invoker.invoke, self._start_function
        )
        listeners = await self._listeners(storage, options.queues)
        # The runner waits that long for handlers, and then once more.
        runner = web.AppRunner(frontend.application(), access_log=None, shutdown_timeout=self._grace / 2)
        await runner.setup()
        stack.push_async_callback(self._drain, runner)
        self.url = await _bind(runner, self._port)
        for listen in listeners:
            self._spawn(listen(self._stop))
        logger.info("%d functions are running at %s", len(self.functions), self.url)

    async def _listeners(self, storage: Storage, options: QueueOptions) -> list[Listen]:
        """What listens for all triggers but HTTP; their queues exist then, those of outputs too."""
        listeners: list[Listen] = []
        monitor: TimerMonitor | None = None
        for function in self.functions:
            trigger = function.trigger
            invoke = partial(self._invoker.invoke, function)
            for binding in (trigger, *function.outputs):
                kind = binding["type"]
                if kind in ("queueTrigger", "queue"):
                    await storage.create_queue(binding)
                elif kind not in ("httpTrigger", "http", "timerTrigger"):
                    raise HostError(f"{function.name} has a {kind} binding, which this host does not know.")
            if trigger["type"] == "timerTrigger":
                if trigger.get("useMonitor", True):
                    monitor = monitor or await storage.timer_monitor(self._host_id())
                self._timers[function.name] = _timer(function, invoke, monitor)
                listeners.append(self._timers[function.name].listen)
            elif trigger["type"] == "queueTrigger":
                queues = storage.queue(trigger), storage.queue(trigger, "-poison")
                listeners.append(QueueListener(*queues, options, invoke).listen)
        return listeners

    def _host_id(self) -> str:
        return os.environ.get(HOST_ID) or hashlib.sha256(bytes(self.root)).hexdigest()[:32]

    def _start_function(self, function: Function, text: str) -> None:
        timer = self._timers.get(function.name)
        self._spawn(timer.run() if timer else self._invoker.invoke(function, trigger_value(text.encode())))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a listener ended", exc_info=error)

    async def _drain(self, runner: web.AppRunner) -> None:
        self._stop.set()
        await asyncio.gather(runner.cleanup(), self._finish())

    async def _finish(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _timer(
    function: Function, invoke: Callable[..., Coroutine[Any, Any, object]], monitor: TimerMonitor | None
) -> TimerListener:
    trigger = function.trigger
    try:
        schedule = Schedule(resolve(str(trigger["schedule"]), os.environ))
    except ValueError as error:
        raise HostError(f"The schedule of {function.name} is wrong: {error}.") from error
    return TimerListener(
        function.name,
        schedule,
        invoke,
        run_on_startup=bool(trigger.get("runOnStartup")),
        monitor=monitor if trigger.get("useMonitor", True) else None,
    )


@contextlib.contextmanager
def _environment(settings: Mapping[str, str], local_settings: Path | None) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.update(settings)
        for name, value in (read_local_settings(local_settings) if local_settings else {}).items():
            os.environ.setdefault(name, value)
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def _disabled(function: Function) -> bool:
    return os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in ("1", "true")


async def _bind(runner: web.AppRunner, port: int) -> str:
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
    except OSError as error:
        raise HostError(f"Port {port} cannot be used: {os.strerror(error.errno or 0)}.") from error
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
